/* trust/svid: which certificates are a workload's, in every mode that checks names. */
#include "trust/svid.h"

#include <openssl/x509v3.h>
#include <stdio.h>

#include "judging.h"
#include "learned/learned.h"

#define ID "spiffe://example.org/billing/api"

static const struct {
    struct cert_order order;
    const char *why; /* NULL: the certificate is good */
} rows[] = {
    {{.san = "URI:" ID}, NULL},
    {{.san = "URI:" ID, .usage = "critical,digitalSignature,keyAgreement"}, NULL},
    {{.san = "DNS:a.example,IP:192.0.2.1,URI:" ID ",email:a@b.example"}, NULL},
    {{.san = NULL}, "no URI"},
    {{.san = "DNS:example.org"}, "no URI"},
    {{.san = "DNS:example.org/billing/api"}, "no URI"},
    {{.san = "URI:" ID ",URI:" ID}, "more than one"},
    {{.san = "URI:" ID ",URI:spiffe://example.org/other"}, "more than one"},
    {{.san = "URI:spiffe://example.org/other,URI:" ID}, "more than one"},
    {{.san = "URI:" ID ",DNS:a.example,URI:https://a.example/"}, "more than one"},
    {{.san = "URI:spiffe://example.org/billing"}, "another"},
    {{.san = "URI:" ID "/"}, "another"},
    {{.san = "URI:" ID "x"}, "another"},
    {{.san = "URI:spiffe://example.org/billing/Api"}, "another"},
    {{.san = "URI:spiffe://Example.org/billing/api"}, "another"},
    {{.san = "URI:SPIFFE://example.org/billing/api"}, "another"},
    {{.san = "URI:spiffe://example.org/billing/%61pi"}, "another"},
    {{.san = "URI:spiffe://example.org/billing//api"}, "another"},
    {{.san = "URI:spiffe://example.org/x/../billing/api"}, "another"},
    {{.san = "URI:spiffe://example.org:443/billing/api"}, "another"},
    {{.san = "URI:spiffe://user@example.org/billing/api"}, "another"},
    {{.san = "URI:" ID "?"}, "another"},
    {{.san = "URI:spiffe://*/billing/api"}, "another"},
    {{.san = "URI:spiffe://example.org/*"}, "another"},
    {{.san = "URI:" ID, .ca = true}, "CA"},
    {{.san = "URI:" ID, .ca = true, .basic = "CA:FALSE"}, "sign"},
    {{.san = "URI:" ID, .usage = "digitalSignature,keyCertSign"}, "CA"},
    {{.san = "URI:" ID, .usage = "digitalSignature,cRLSign"}, "sign"},
};

static struct cert make(size_t i, const struct cert *issuer)
{
    struct cert_order order = rows[i].order;

    order.cn = "example.org";
    order.issuer = issuer;
    return certs_make(&order);
}

static void the_rules_of_an_svid_hold(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        const char *why = svid_check(make(i, &ca).x509, ID);

        if ((why == NULL) != (rows[i].why == NULL))
            fail_msg("row %zu: %s", i, why ? why : "passes");
        if (why && rows[i].why)
            assert_contains(why, rows[i].why);
    }
}

/* The same rows by the verdict: PKI, both, a pinned CA, and a pinned certificate whose name counts. */
static void the_rules_of_an_svid_hold_in_every_mode(void **state)
{
    static const struct {
        const char *lines;
        bool pinned; /* the server's key */
        enum reason refused;
    } modes[] = {
        {"verify = pki\nca_file = ca.pem\n", false, REASON_PKI},
        {"verify = pin+pki\nca_file = ca.pem\n", true, REASON_PKI},
        {"verify = tofu+pki\nca_file = ca.pem\n", true, REASON_PKI},
        {"pin = issuer-cert:ca.pem\n", false, REASON_PKI},
        {"pin = issuer-cert:ca.pem\nverify = pin+pki\nca_file = ca.pem\n", false, REASON_PKI},
        {"also_check = name\n", true, REASON_NAME},
        {"verify = tofu\nalso_check = name\n", true, REASON_NAME},
    };
    size_t i, m;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        const struct cert c = make(i, &ca);

        for (m = 0; m < COUNT(modes); m++) {
            struct learned *l = new_store("svid");
            struct bench b;

            open_bench(&b, l, "%s%sverify_name = " ID, modes[m].lines,
                       modes[m].pinned ? pin(&c) : "");
            judge(&b, &c, NULL, NULL);
            if (b.verdict.reason != (rows[i].why ? modes[m].refused : REASON_OK))
                fail_msg("row %zu, %s: %s: %s", i, modes[m].lines, reason_name(b.verdict.reason),
                         b.verdict.detail ? b.verdict.detail : "");
            /* in a chain OpenSSL's own error comes first: a CA is no TLS server */
            if (rows[i].why && modes[m].refused == REASON_NAME)
                assert_contains(b.verdict.detail, rows[i].why);
            close_bench(&b);
            learned_release(l);
        }
    }
}

/* A NUL would end a C string where it suits. */
static void a_nul_byte_in_a_uri_matches_nothing(void **state)
{
    static const char uri[] = ID "\0.evil";
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    X509 *cert = X509_new();

    (void)state;
    assert_int_equal(ASN1_STRING_set(text, uri, sizeof(uri) - 1), 1);
    GENERAL_NAME_set0_value(name, GEN_URI, text);
    assert_true(sk_GENERAL_NAME_push(names, name) > 0);
    assert_int_equal(X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT),
                     1);
    assert_contains(svid_check(cert, ID), "another");
    GENERAL_NAMES_free(names);
    X509_free(cert);
}

static void name_constraints_bind_the_trust_domain(void **state)
{
    static const struct {
        const char *constraints;
        enum reason want;
    } bounds[] = {
        {"critical,permitted;URI:example.org", REASON_OK},
        {"critical,permitted;URI:.example.org", REASON_PKI},
        {"critical,permitted;URI:other.example", REASON_PKI},
        {"critical,excluded;URI:example.org", REASON_PKI},
        {"critical,excluded;URI:EXAMPLE.org", REASON_PKI},
        {"critical,excluded;URI:example.org.", REASON_PKI},
        {"critical,excluded;URI:.org", REASON_PKI},
        {"critical,excluded;URI:other.example", REASON_OK},
        /* these can match nothing, so that nobody can have meant them */
        {"critical,excluded;URI:spiffe://example.org", REASON_PKI},
        {"critical,excluded;URI:*.org", REASON_PKI},
        {"critical,permitted;DNS:other.example", REASON_OK},
    };
    struct cert svid;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(bounds); i++) {
        struct cert root = certs_make(&(struct cert_order){
            .cn = "Bound Root", .ca = true, .constraints = bounds[i].constraints});
        const char *anchor = write_anchor(&root);
        char lines[256];

        svid = certs_make(&(struct cert_order){.cn = NULL, .san = "URI:" ID, .issuer = &root});
        snprintf(lines, sizeof(lines), "verify = pki\nca_file = %s\nverify_name = " ID, anchor);
        expect(lines, &svid, bounds[i].want);
        snprintf(lines, sizeof(lines), "pin = issuer-cert:%s\nverify_name = " ID, anchor);
        expect(lines, &svid, bounds[i].want);
    }
}

/* Where a server pin alone is enough, no name is checked. */
static void a_server_pin_alone_checks_no_id(void **state)
{
    struct cert c = certs_leaf("DNS:a.example", NULL);

    (void)state;
    expect(keys("%sverify_name = " ID, pin(&c)), &c, REASON_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rules_of_an_svid_hold),
        cmocka_unit_test(the_rules_of_an_svid_hold_in_every_mode),
        cmocka_unit_test(a_nul_byte_in_a_uri_matches_nothing),
        cmocka_unit_test(name_constraints_bind_the_trust_domain),
        cmocka_unit_test(a_server_pin_alone_checks_no_id),
    };

    return cmocka_run_group_tests(tests, judging_setup, judging_teardown);
}
