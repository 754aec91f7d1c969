/* pinproxy/findings: how bad what is found is, and that notes about a renewal are no finding. */
#include "pinproxy/findings.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "certs.h"
#include "config/loader.h"
#include "help.h"

#define A "sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg="
#define B "sha256//Vjs8r4z+80wjNcr1YKepWQboSIRi63WsWXhIMN+eWys="
#define DAY INT64_C(86400)
#define HOUR INT64_C(3600)

static struct snapshot *make(const char *text)
{
    struct diag_list diags = {0};
    struct config *c = config_parse(temp_path("test.conf"), text, strlen(text), &diags);
    struct snapshot *s = snapshot_new(c, NULL, &diags);

    diag_print(&diags, stderr);
    assert_non_null(s);
    return s;
}

/* What a check at that time finds about the first section. The caller clears it. */
static struct findings collect(const struct snapshot *s, const struct probe *p, int64_t now,
                               int64_t warn_days)
{
    struct findings f = {
        .section = &s->sections[0],
        .probe = p,
        .state_dir = "/nowhere",
        .now = now,
        .warn_days = warn_days,
    };

    findings_collect(&f);
    return f;
}

static enum finding_level level_of(const struct snapshot *s, const struct probe *p, int64_t now,
                                   int64_t warn_days)
{
    struct findings f = collect(s, p, now, warn_days);
    const enum finding_level level = f.level;

    findings_clear(&f);
    return level;
}

/* Returns all messages, a line each. The caller frees it. */
static char *messages(const struct snapshot *s, const struct probe *p, int64_t now)
{
    struct findings f = collect(s, p, now, FINDINGS_WARN_DEFAULT);
    char *text = xstrdup("");
    size_t i;

    for (i = 0; i < json_array_size(f.messages); i++) {
        char *longer = xasprintf("%s%s\n", text, json_string_value(json_array_get(f.messages, i)));

        free(text);
        text = longer;
    }
    findings_clear(&f);
    return text;
}

static void the_worse_of_two_levels_counts(void **state)
{
    static const enum finding_level order[] = {FINDING_OK, FINDING_WARNING, FINDING_UNKNOWN,
                                               FINDING_CRITICAL};
    size_t i, j;

    (void)state;
    for (i = 0; i < COUNT(order); i++)
        for (j = 0; j < COUNT(order); j++)
            assert_int_equal(finding_level_worse(order[i], order[j]), order[i > j ? i : j]);
}

/* The exit statuses of monitoring plugins. */
static void levels_are_exit_statuses(void **state)
{
    (void)state;
    assert_int_equal(FINDING_OK, 0);
    assert_int_equal(FINDING_WARNING, 1);
    assert_int_equal(FINDING_CRITICAL, 2);
    assert_int_equal(FINDING_UNKNOWN, 3);
    assert_string_equal(finding_level_name(FINDING_UNKNOWN), "unknown");
}

/* Fills in a probe whose server has a certificate of this life and was accepted. */
static void accept_server(struct probe *p, const struct snapshot *s, int days)
{
    struct cert c = certs_make(&(struct cert_order){.cn = "a", .from = 0, .to = days});

    memset(p, 0, sizeof(*p));
    p->section = &s->sections[0];
    p->reason = p->reported = REASON_OK;
    p->detail = xstrdup("");
    p->pin = &s->sections[0].config->pins.items[0];
    p->chain = xcalloc(1, sizeof(*p->chain));
    p->chain_count = 1;
    assert_true(cert_describe(c.x509, &p->chain[0]));
}

static void a_certificate_is_a_warning_by_days_or_by_the_share_of_its_life(void **state)
{
    static const struct {
        int days;
        int64_t limit; /* before the end, in seconds */
    } rows[] = {
        {6, 2 * DAY},   {39, 13 * DAY},  {47, 14 * DAY},
        {90, 14 * DAY}, {398, 14 * DAY}, {3650, 14 * DAY},
    };
    struct snapshot *s = make("[a.example]\npin = " A "\n      " B "\n");
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        const int64_t end = CERTS_NOW + rows[i].days * DAY;
        const long any = FINDINGS_WARN_DEFAULT;
        struct probe p;

        accept_server(&p, s, rows[i].days);
        assert_int_equal(level_of(s, &p, CERTS_NOW - DAY, any), FINDING_OK);
        assert_int_equal(level_of(s, &p, CERTS_NOW, any), FINDING_OK);
        assert_int_equal(level_of(s, &p, end - rows[i].limit, any), FINDING_OK);
        assert_int_equal(level_of(s, &p, end - rows[i].limit + 1, any), FINDING_WARNING);
        assert_int_equal(level_of(s, &p, end, any), FINDING_WARNING);
        /* an administrator's number is used as it is */
        assert_int_equal(level_of(s, &p, end - 5 * DAY, 5), FINDING_OK);
        assert_int_equal(level_of(s, &p, end - 5 * DAY + 1, 5), FINDING_WARNING);
        assert_int_equal(level_of(s, &p, end - 1, 0), FINDING_OK);
        assert_int_equal(level_of(s, &p, end, 0), FINDING_WARNING);
        probe_clear(&p);
    }
    snapshot_release(s);
}

/* The end of a pin is the beginning of its day, which is 16 hours after CERTS_NOW's hour. */
static void a_raw_key_has_no_end(void **state)
{
    struct snapshot *s = make("[a.example]\npin = " A "\n      " B "\n");
    struct findings f;
    struct probe p;
    char *text;
    json_t *o;

    (void)state;
    accept_server(&p, s, 1);
    cert_info_free(&p.chain[0]);
    assert_true(cert_describe_key(certs_ec_key(), &p.chain[0]));
    assert_int_equal(level_of(s, &p, CERTS_NOW + 3650 * DAY, FINDINGS_WARN_DEFAULT), FINDING_OK);
    text = messages(s, &p, CERTS_NOW);
    assert_contains(text, "a raw public key, which has no end");
    assert_null(strstr(text, "certificate"));
    free(text);
    /* a refusal shows the key */
    p.reason = REASON_PIN_MISMATCH;
    p.pki = xstrdup("a raw public key, without a certificate");
    text = messages(s, &p, CERTS_NOW);
    assert_contains(text,
                    "presented: a raw public key, without a certificate\npresented: sha256//");
    free(text);
    f = collect(s, &p, CERTS_NOW, FINDINGS_WARN_DEFAULT);
    o = findings_json(&f);
    assert_true(json_is_true(json_object_get(json_object_get(o, "certificate"), "raw_key")));
    json_decref(o);
    findings_clear(&f);
    probe_clear(&p);
    snapshot_release(s);
}

static void a_pin_is_a_warning_fourteen_days_ahead(void **state)
{
    struct snapshot *s = make("[a.example]\npin = " A " until=2027-03-01\n      " B "\n");
    const int64_t until = CERTS_NOW - 8 * HOUR + 45 * DAY;
    char *text;

    (void)state;
    assert_int_equal(level_of(s, NULL, until - 14 * DAY, FINDINGS_WARN_DEFAULT), FINDING_OK);
    text = messages(s, NULL, until - 14 * DAY + 1);
    assert_contains(text, "ends on 2027-03-01, in 13 days");
    free(text);
    assert_int_equal(level_of(s, NULL, until - 14 * DAY + 1, FINDINGS_WARN_DEFAULT),
                     FINDING_WARNING);
    text = messages(s, NULL, until);
    assert_contains(text, "ended on 2027-03-01: remove it");
    assert_contains(text, "only one pin");
    free(text);
    snapshot_release(s);
}

static void a_section_whose_pins_have_all_ended_is_critical(void **state)
{
    struct snapshot *s = make("[a.example]\npin = " A " until=2027-01-01\n");

    (void)state;
    assert_int_equal(level_of(s, NULL, CERTS_NOW, FINDINGS_WARN_DEFAULT), FINDING_CRITICAL);
    snapshot_release(s);
}

static void a_revocation_list_is_a_warning_by_the_share_of_its_life(void **state)
{
    struct cert ca = certs_ca("Our CA");
    const int64_t end = CERTS_NOW + 9 * DAY;
    const char *ca_file = temp_text("ca.pem", certs_pem(ca.x509)), *list;
    struct findings f;
    struct snapshot *s;
    json_t *o;
    char *text;

    (void)state;
    list = temp_text("ca.crl", certs_crl_pem(certs_crl(&(struct crl_order){
                                   .ca = &ca, .this_update = CERTS_NOW, .next_update = end})));
    text = xasprintf("[a.example]\nverify = pki\nca_file = %s\ncrl_file = %s\n", ca_file, list);
    s = make(text);
    free(text);
    assert_int_equal(level_of(s, NULL, end - 3 * DAY, FINDINGS_WARN_DEFAULT), FINDING_OK);
    assert_int_equal(level_of(s, NULL, end - 3 * DAY + 1, FINDINGS_WARN_DEFAULT), FINDING_WARNING);
    assert_int_equal(level_of(s, NULL, end - 8 * DAY, 8), FINDING_OK);
    assert_int_equal(level_of(s, NULL, end - 8 * DAY + 1, 8), FINDING_WARNING);
    text = messages(s, NULL, end - 2 * DAY);
    assert_contains(text, "the revocation list of CN=Our CA in ");
    assert_contains(text, "expires on 2027-01-24, in 2 days");
    free(text);
    text = messages(s, NULL, end + 3 * DAY);
    assert_contains(text, "expired on 2027-01-24, 3 days ago");
    free(text);

    f = collect(s, NULL, CERTS_NOW, FINDINGS_WARN_DEFAULT);
    o = findings_json(&f);
    assert_string_equal(
        json_string_value(json_object_get(json_array_get(json_object_get(o, "crls"), 0), "issuer")),
        "CN=Our CA");
    json_decref(o);
    findings_clear(&f);
    snapshot_release(s);
}

static void the_result_of_a_connection_is_a_level(void **state)
{
    static const struct {
        enum reason reason;
        enum finding_level level;
    } rows[] = {
        {REASON_PIN_MISMATCH, FINDING_CRITICAL}, {REASON_REVOKED, FINDING_CRITICAL},
        {REASON_PKI, FINDING_CRITICAL},          {REASON_EXPIRED_PINS, FINDING_CRITICAL},
        {REASON_CONNECT, FINDING_UNKNOWN},       {REASON_RESOLVE, FINDING_UNKNOWN},
        {REASON_TIMEOUT, FINDING_UNKNOWN},       {REASON_TLS, FINDING_UNKNOWN},
    };
    struct snapshot *s = make("[a.example]\npin = " A "\n      " B "\n");
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        struct probe p = {.section = &s->sections[0], .reason = rows[i].reason};

        p.detail = xstrdup("why");
        assert_int_equal(level_of(s, &p, CERTS_NOW, FINDINGS_WARN_DEFAULT), rows[i].level);
        probe_clear(&p);
    }
    snapshot_release(s);
}

static void notes_about_a_renewal_change_no_level(void **state)
{
    struct snapshot *s = make("[a.example]\n"
                              "pin = cert:sha256:" /* 64 digits */
                              "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
                              "      cert:sha256:"
                              "f00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n");
    struct findings f = collect(s, NULL, CERTS_NOW, FINDINGS_WARN_DEFAULT);

    (void)state;
    assert_int_equal(f.level, FINDING_OK);
    assert_int_equal(json_array_size(f.messages), 0);
    assert_int_equal(json_array_size(f.renewal), 1);
    findings_clear(&f);
    snapshot_release(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worse_of_two_levels_counts),
        cmocka_unit_test(levels_are_exit_statuses),
        cmocka_unit_test(a_certificate_is_a_warning_by_days_or_by_the_share_of_its_life),
        cmocka_unit_test(a_raw_key_has_no_end),
        cmocka_unit_test(a_pin_is_a_warning_fourteen_days_ahead),
        cmocka_unit_test(a_section_whose_pins_have_all_ended_is_critical),
        cmocka_unit_test(a_revocation_list_is_a_warning_by_the_share_of_its_life),
        cmocka_unit_test(the_result_of_a_connection_is_a_level),
        cmocka_unit_test(notes_about_a_renewal_change_no_level),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
