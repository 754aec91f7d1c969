/* pinproxy/report: what is printed of certificates and refusals, and exit statuses. */
#include "pinproxy/report.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "certs.h"
#include "config/loader.h"
#include "help.h"
#include "pin/pin.h"

static struct cert_info describe(const struct cert *c)
{
    struct cert_info info;

    assert_true(cert_describe(c->x509, &info));
    return info;
}

static const char *text_of(const json_t *o, const char *field)
{
    return json_string_value(json_object_get(o, field));
}

static void a_certificate_has_the_pins_of_its_depth(void **state)
{
    static const struct {
        size_t depth;
        const char *key, *cert;
    } rows[] = {{0, "sha256//", "cert:sha256:"}, {1, "issuer:sha256//", "issuer-cert:sha256:"}};
    struct cert ca = certs_ca("Our CA");
    struct cert_info info = describe(&ca);
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        json_t *o = report_cert_json(rows[i].depth, &info);
        char *printed;

        assert_int_equal(strncmp(text_of(o, "pin"), rows[i].key, strlen(rows[i].key)), 0);
        assert_int_equal(strncmp(text_of(o, "cert_pin"), rows[i].cert, strlen(rows[i].cert)), 0);
        assert_string_equal(text_of(o, "not_before"), "2027-01-14");
        assert_string_equal(text_of(o, "not_after"), "2027-04-25");
        capture_start();
        report_cert(stderr, rows[i].depth, &info);
        printed = capture_end();
        assert_contains(printed, "CN=Our CA  (a CA)");
        assert_contains(printed, "2027-01-14 to 2027-04-25");
        assert_contains(printed, text_of(o, "pin"));
        assert_contains(printed, text_of(o, "cert_pin"));
        free(printed);
        json_decref(o);
    }
    cert_info_free(&info);
}

static void a_list_without_next_update_has_no_such_field(void **state)
{
    struct crl_info c = {.issuer = "CN=A", .file = "a.crl", .this_update = CERTS_NOW};
    json_t *o;

    (void)state;
    c.next_update = INT64_MAX;
    o = report_crl_json(&c);
    assert_string_equal(text_of(o, "this_update"), "2027-01-15");
    assert_null(json_object_get(o, "next_update"));
    assert_null(json_object_get(o, "days_left"));
    json_decref(o);
    c.next_update = clock_now() + 3 * DAY_SECONDS + DAY_SECONDS / 2;
    o = report_crl_json(&c);
    assert_int_equal(json_integer_value(json_object_get(o, "days_left")), 3);
    json_decref(o);
}

/* Returns what is printed of a refusal. The caller frees it. */
static char *refusal(enum reason reason, const struct cert_info *presented)
{
    const char *text = "[a.example]\npin = sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=\n";
    struct diag_list diags = {0};
    struct config *c = config_parse(temp_path("test.conf"), text, strlen(text), &diags);

    assert_int_equal(diags.count, 0);
    capture_start();
    report_refusal(stderr, "a.example", reason, "why", c->sections[0], presented, "valid");
    config_free(c);
    return capture_end();
}

static void a_mismatch_shows_what_was_presented_and_expected(void **state)
{
    struct cert c = certs_ca("evil\x1b[2J\n");
    struct cert_info info = describe(&c);
    char *text = refusal(REASON_PIN_MISMATCH, &info);

    (void)state;
    assert_contains(text, "pinproxy: a.example: pin_mismatch: ");
    assert_contains(text, ": why\n");
    assert_contains(text, certs_key_pin(&c));
    assert_contains(text, certs_cert_pin(&c));
    assert_contains(text, "expected   sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=");
    assert_contains(text, "pki        valid");
    assert_null(strchr(text, '\x1b'));
    free(text);
    cert_info_free(&info);
}

static void a_raw_key_is_shown_without_a_certificate(void **state)
{
    struct cert c = certs_ca("Our CA");
    struct cert_info info;
    char *text;
    json_t *o;

    (void)state;
    assert_true(cert_describe_key(c.key, &info));
    o = report_cert_json(0, &info);
    assert_int_equal(json_object_size(o), 3);
    assert_true(json_is_true(json_object_get(o, "raw_key")));
    assert_string_equal(text_of(o, "key_type"), "EC P-256");
    assert_string_equal(text_of(o, "pin"), certs_key_pin(&c));
    json_decref(o);
    capture_start();
    report_cert(stderr, 0, &info);
    text = capture_end();
    assert_contains(text, "0   a raw public key, without a certificate\n");
    assert_contains(text, certs_key_pin(&c));
    assert_null(strstr(text, "cert:"));
    free(text);
    text = refusal(REASON_PIN_MISMATCH, &info);
    assert_contains(text, "presented  a raw public key, without a certificate\n");
    assert_contains(text, certs_key_pin(&c));
    assert_null(strstr(text, "cert:"));
    free(text);
    cert_info_free(&info);
}

static void a_failure_of_the_network_shows_no_certificate(void **state)
{
    struct cert c = certs_ca("Our CA");
    struct cert_info info = describe(&c);
    char *text = refusal(REASON_CONNECT, &info);

    (void)state;
    assert_null(strstr(text, "presented"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    free(text);
    cert_info_free(&info);
}

static void trust_and_network_have_different_exit_statuses(void **state)
{
    (void)state;
    assert_int_equal(report_status(REASON_OK), EXITCODE_OK);
    assert_int_equal(report_status(REASON_PIN_MISMATCH), EXITCODE_REFUSED);
    assert_int_equal(report_status(REASON_PKI), EXITCODE_REFUSED);
    assert_int_equal(report_status(REASON_CONNECT), EXITCODE_FAILURE);
    assert_int_equal(report_status(REASON_TRUNCATED), EXITCODE_FAILURE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_has_the_pins_of_its_depth),
        cmocka_unit_test(a_list_without_next_update_has_no_such_field),
        cmocka_unit_test(a_mismatch_shows_what_was_presented_and_expected),
        cmocka_unit_test(a_raw_key_is_shown_without_a_certificate),
        cmocka_unit_test(a_failure_of_the_network_shows_no_certificate),
        cmocka_unit_test(trust_and_network_have_different_exit_statuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
