/* pinproxy/renewal: what is said about the next renewal, for each kind of pin and of chain. */
#include "pinproxy/renewal.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "certs.h"
#include "config/loader.h"
#include "help.h"

#define A "sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg="

static struct cert root, inner, second, leaf;

static int make_certificates(void **state)
{
    (void)state;
    root = certs_ca("Root");
    inner = certs_make(&(struct cert_order){.cn = "Inner", .ca = true, .issuer = &root});
    second = certs_make(&(struct cert_order){.cn = "Second", .ca = true, .issuer = &root});
    leaf = certs_leaf("DNS:a.example", &inner);
    temp_text("root.pem", certs_pem(root.x509));
    temp_text("inner.pem", certs_pem(inner.x509));
    temp_text("second.pem", certs_pem(second.x509));
    temp_text("leaf.pem", certs_pem(leaf.x509));
    return 0;
}

static struct snapshot *make(const char *text)
{
    struct diag_list diags = {0};
    struct config *c = config_parse(temp_path("test.conf"), text, strlen(text), &diags);
    struct snapshot *s = snapshot_new(c, NULL, &diags);

    diag_print(&diags, stderr);
    assert_non_null(s);
    return s;
}

static void describe(struct probe *p, const struct cert *const *chain, size_t count)
{
    size_t i;

    memset(p, 0, sizeof(*p));
    p->chain = xcalloc(count, sizeof(*p->chain));
    p->chain_count = count;
    for (i = 0; i < count; i++)
        assert_true(cert_describe(chain[i]->x509, &p->chain[i]));
}

/* Checks that the notes on a section with these pins are one with these words, or none. */
static void assert_note(const char *pins, const struct probe *p, const char *part)
{
    char *text = xasprintf("[a.example]\npin = %s\n", pins);
    struct snapshot *s = make(text);
    json_t *notes = renewal_of_section(&s->sections[0], p, CERTS_NOW);

    if (json_array_size(notes) != (part ? 1 : 0))
        fail_msg("%zu notes on: %s", json_array_size(notes), pins);
    if (part)
        assert_contains(json_string_value(json_array_get(notes, 0)), part);
    json_decref(notes);
    snapshot_release(s);
    free(text);
}

static void an_intermediate_in_a_file_is_known_without_a_server(void **state)
{
    (void)state;
    assert_note("issuer-cert:inner.pem", NULL, "is of an intermediate CA, CN=Inner, which can be");
    assert_note("issuer-cert:inner.pem\n " A, NULL, "intermediate CA, CN=Inner");
    assert_note("issuer-cert:root.pem", NULL, NULL);
}

static void an_intermediate_by_its_digest_is_known_from_the_chain(void **state)
{
    const struct cert *const chain[] = {&leaf, &inner};
    char *pin = xasprintf("issuer:%s name=ca", certs_key_pin(&inner));
    struct probe p;

    (void)state;
    describe(&p, chain, COUNT(chain));
    assert_note(pin, NULL, NULL);
    assert_note(pin, &p, "pin ca is of an intermediate CA, CN=Inner");
    probe_clear(&p);
    free(pin);
}

static void a_root_in_the_chain_is_no_intermediate(void **state)
{
    const struct cert *const chain[] = {&leaf, &inner, &root};
    char *pin = xasprintf("issuer:%s", certs_key_pin(&root));
    struct probe p;

    (void)state;
    describe(&p, chain, COUNT(chain));
    assert_note(pin, &p, NULL);
    probe_clear(&p);
    free(pin);
}

static void the_root_or_a_second_intermediate_survives_a_change(void **state)
{
    char *unknown = xasprintf("issuer-cert:inner.pem\n issuer:%s", certs_key_pin(&second));

    (void)state;
    assert_note("issuer-cert:inner.pem\n issuer-cert:root.pem", NULL, NULL);
    assert_note("issuer-cert:root.pem\n issuer-cert:inner.pem", NULL, NULL);
    assert_note("issuer-cert:inner.pem\n issuer-cert:second.pem", NULL, NULL);
    assert_note(unknown, NULL, NULL);
    free(unknown);
}

static void a_pin_that_has_ended_does_not_help(void **state)
{
    (void)state;
    assert_note("issuer-cert:inner.pem\n issuer-cert:root.pem until=2027-01-15", NULL, "CN=Inner");
    assert_note("issuer-cert:inner.pem\n issuer-cert:root.pem until=2027-01-16", NULL, NULL);
    assert_note("cert:leaf.pem\n " A " until=2027-01-15", NULL, "is of one certificate");
}

static void a_pinned_certificate_ends_with_itself(void **state)
{
    const struct cert *const chain[] = {&leaf, &inner};
    struct probe p;

    (void)state;
    describe(&p, chain, COUNT(chain));
    assert_note("cert:leaf.pem name=today", NULL,
                "pin today is of one certificate and ends with it:");
    assert_note("cert:leaf.pem", &p, "ends with it, on 2027-04-25:");
    assert_note("cert:leaf.pem\n " A, &p, NULL);
    assert_note("cert:leaf.pem\n issuer-cert:root.pem", &p, NULL);
    assert_note(A, &p, NULL);
    probe_clear(&p);
}

static void a_chain_has_a_note_on_its_first_intermediate(void **state)
{
    const struct cert *const chain[] = {&leaf, &inner, &root};
    struct probe p;
    json_t *notes;

    (void)state;
    describe(&p, chain, COUNT(chain));
    notes = renewal_of_chain(p.chain, 3);
    assert_int_equal(json_array_size(notes), 3);
    assert_contains(json_string_value(json_array_get(notes, 0)), "the next key of the server");
    assert_contains(json_string_value(json_array_get(notes, 1)), "on 2027-04-25 at the latest");
    assert_contains(json_string_value(json_array_get(notes, 2)), "CN=Inner is an intermediate CA");
    json_decref(notes);
    notes = renewal_of_chain(p.chain, 1);
    assert_int_equal(json_array_size(notes), 2);
    json_decref(notes);
    probe_clear(&p);
}

static void a_raw_key_has_no_certificate_that_ends(void **state)
{
    struct cert_info info;
    json_t *notes;

    (void)state;
    assert_true(cert_describe_key(leaf.key, &info));
    notes = renewal_of_chain(&info, 1);
    assert_int_equal(json_array_size(notes), 1);
    assert_contains(json_string_value(json_array_get(notes, 0)), "the next key of the server");
    json_decref(notes);
    cert_info_free(&info);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_raw_key_has_no_certificate_that_ends),
        cmocka_unit_test(an_intermediate_in_a_file_is_known_without_a_server),
        cmocka_unit_test(an_intermediate_by_its_digest_is_known_from_the_chain),
        cmocka_unit_test(a_root_in_the_chain_is_no_intermediate),
        cmocka_unit_test(the_root_or_a_second_intermediate_survives_a_change),
        cmocka_unit_test(a_pin_that_has_ended_does_not_help),
        cmocka_unit_test(a_pinned_certificate_ends_with_itself),
        cmocka_unit_test(a_chain_has_a_note_on_its_first_intermediate),
    };

    return cmocka_run_group_tests(tests, make_certificates, NULL);
}
