/* trust/trust: certificates against policies. What is not trusted for a reason is a hole. */
#include "trust/trust.h"

#include <stdlib.h>

#include "config/loader.h"
#include "config/section.h"
#include "judging.h"
#include "trust/anchors.h"
#include "trust/peerchain.h"

static void only_the_pinned_key_is_trusted(void **state)
{
    (void)state;
    expect(pin(&leaf), &leaf, REASON_OK);
    expect(pin(&twin), &leaf, REASON_PIN_MISMATCH);
    expect(keys("pin = %s", certs_cert_pin(&leaf)), &leaf, REASON_OK);
    expect(keys("pin = %s", certs_cert_pin(&twin)), &leaf, REASON_PIN_MISMATCH);
    expect(keys("%s%s", pin(&twin), pin(&leaf)), &leaf, REASON_OK);
}

/* The digest of a key is none of a certificate, and the other way round. */
static void a_digest_matches_in_its_kind_only(void **state)
{
    struct cert_digests digests;
    char as_cert[PIN_CERT_TEXT_SIZE], as_key[PIN_KEY_TEXT_SIZE];

    (void)state;
    assert_true(cert_compute_digests(leaf.x509, &digests));
    pin_format_cert(digests.key, as_cert);
    pin_format_key(digests.cert, as_key);
    expect(keys("pin = %s", as_cert), &leaf, REASON_PIN_MISMATCH);
    expect(keys("pin = %s", as_key), &leaf, REASON_PIN_MISMATCH);
}

/* The pin compares the server's own certificate, never one that it merely sends along. */
static void a_pinned_certificate_sent_along_proves_nothing(void **state)
{
    const struct presented p = {.leaf = &twin, .more = {&leaf, &ca}};

    (void)state;
    expect_at(pin(&leaf), &p, NOW, REASON_PIN_MISMATCH);
    expect_at(pin(&ca), &p, NOW, REASON_PIN_MISMATCH);
    expect_at(keys("pin = %s", certs_cert_pin(&leaf)), &p, NOW, REASON_PIN_MISMATCH);
}

/* A new certificate for the same key: the key's pin holds, the certificate's does not. */
static void a_renewed_certificate_keeps_its_key_pin(void **state)
{
    struct cert renewed = certs_make(&(struct cert_order){
        .cn = "leaf", .san = "DNS:api.example.com", .key = leaf.key, .issuer = &ca});

    (void)state;
    expect(pin(&leaf), &renewed, REASON_OK);
    expect(keys("pin = %s", certs_cert_pin(&leaf)), &renewed, REASON_PIN_MISMATCH);
}

static void a_pin_alone_checks_nothing_else(void **state)
{
    struct cert expired = certs_make(&(struct cert_order){.san = "DNS:x", .from = -9, .to = -1});
    struct cert client = certs_make(&(struct cert_order){.san = "DNS:x", .eku = "clientAuth"});
    struct cert bare = certs_make(&(struct cert_order){.digest = "SHA1"});

    (void)state;
    expect(pin(&expired), &expired, REASON_OK);
    expect(pin(&client), &client, REASON_OK);
    expect(pin(&bare), &bare, REASON_OK); /* no signature is relied on */
}

static void also_check_adds_checks_to_a_pin(void **state)
{
    struct cert expired = certs_make(
        &(struct cert_order){.san = "DNS:api.example.com", .from = -9, .to = -1});
    struct cert early = certs_make(
        &(struct cert_order){.san = "DNS:api.example.com", .from = 1, .to = 9});
    struct cert named = certs_make(&(struct cert_order){.san = "DNS:x.example"});
    struct cert cn = certs_make(&(struct cert_order){.cn = "api.example.com"});

    (void)state;
    expect(keys("%salso_check = dates", pin(&expired)), &expired, REASON_DATES);
    expect(keys("%salso_check = dates", pin(&early)), &early, REASON_DATES);
    expect(keys("%salso_check = name", pin(&expired)), &expired, REASON_OK);
    expect(keys("%salso_check = name", pin(&named)), &named, REASON_NAME);
    expect(keys("%salso_check = dates", pin(&named)), &named, REASON_OK);
    expect(keys("%salso_check = name dates", pin(&named)), &named, REASON_NAME);
    expect(keys("%salso_check = name, dates", pin(&leaf)), &leaf, REASON_OK);
    /* the subject's CN counts for nothing */
    expect(keys("%salso_check = name", pin(&cn)), &cn, REASON_NAME);
}

static void a_pin_past_its_date_is_no_pin(void **state)
{
    (void)state;
    expect_at(keys("pin = %s until=2027-01-16", certs_key_pin(&leaf)),
              &(struct presented){.leaf = &leaf}, NOW, REASON_OK);
    expect_at(keys("pin = %s until=2027-01-15", certs_key_pin(&leaf)),
              &(struct presented){.leaf = &leaf}, NOW, REASON_EXPIRED_PINS);
    /* only a pin that matches can have expired */
    expect(keys("pin = %s until=2027-01-15", certs_key_pin(&twin)), &leaf, REASON_PIN_MISMATCH);
    /* another live one does */
    expect(keys("pin = %s until=2027-01-15\npin = %s", certs_key_pin(&leaf), certs_cert_pin(&leaf)),
           &leaf, REASON_OK);
    expect(keys("pin = %s until=2027-01-15\n%s", certs_key_pin(&leaf), pin(&twin)), &leaf,
           REASON_EXPIRED_PINS);
}

static void a_revoked_key_is_refused_whatever_else_matches(void **state)
{
    static const char *const verify[] = {"pin", "pin+pki"};
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(verify); i++)
        expect(keys("%srevoked = %s\nverify = %s\nca_file = ca.pem", pin(&leaf),
                    certs_key_pin(&leaf), verify[i]),
               &leaf, REASON_REVOKED);
    expect(keys("revoked = %s\nverify = pki\nca_file = ca.pem", certs_key_pin(&leaf)), &leaf,
           REASON_REVOKED);
    /* before a mismatch, before an expired pin, before weakness, before the PKI */
    expect(keys("%srevoked = %s", pin(&twin), certs_key_pin(&leaf)), &leaf, REASON_REVOKED);
    expect(
        keys("pin = %s until=2020-01-01\nrevoked = %s", certs_key_pin(&leaf), certs_key_pin(&leaf)),
        &leaf, REASON_REVOKED);
    expect(keys("revoked = %s\nverify = pki\nca_file = ca.pem", certs_key_pin(&twin)), &twin,
           REASON_REVOKED);
    /* others' keys do not count */
    expect(keys("%srevoked = %s", pin(&leaf), certs_key_pin(&twin)), &leaf, REASON_OK);
}

static void a_revoked_key_in_the_verified_chain_refuses(void **state)
{
    const struct presented p = {.leaf = &by_sub, .more = {&sub}};

    (void)state;
    expect_at("verify = pki\nca_file = ca.pem", &p, NOW, REASON_OK);
    expect_at(keys("revoked = %s\nverify = pki\nca_file = ca.pem", certs_key_pin(&sub)), &p, NOW,
              REASON_REVOKED);
    /* the anchor's too, which the server does not send */
    expect_at(keys("revoked = %s\nverify = pki\nca_file = ca.pem", certs_key_pin(&ca)), &p, NOW,
              REASON_REVOKED);
    expect_at(keys("%srevoked = %s\nverify = pin+pki\nca_file = ca.pem", pin(&by_sub),
                   certs_key_pin(&sub)),
              &p, NOW, REASON_REVOKED);
    /* SPEC 9: with server pins alone, the server's own key */
    expect_at(keys("%srevoked = %s", pin(&by_sub), certs_key_pin(&sub)), &p, NOW, REASON_OK);
}

static void the_detail_says_what_and_where(void **state)
{
    struct cert expired = certs_make(
        &(struct cert_order){.san = "DNS:api.example.com", .from = -9, .to = -1, .issuer = &ca});
    struct bench b;

    (void)state;
    open_bench(&b, NULL, "verify = pki\nca_file = ca.pem");
    assert_int_equal(judge(&b, &expired, NULL, NULL), REASON_PKI);
    assert_contains(b.verdict.detail, "expired");
    assert_contains(b.verdict.detail, "depth 0");
    close_bench(&b);
    open_bench(&b, NULL, "pin = %s until=2027-01-01 name=old", certs_key_pin(&leaf));
    assert_int_equal(judge(&b, &leaf, NULL, NULL), REASON_EXPIRED_PINS);
    assert_contains(b.verdict.detail, "old");
    assert_contains(b.verdict.detail, "2027-01-01");
    close_bench(&b);
}

static void the_verdict_names_the_pin_that_matched(void **state)
{
    struct config *c = take(
        keys("[api.example.com]\n%spin = %s name=second\n", pin(&twin), certs_key_pin(&leaf)));
    struct diag_list diags = {0};
    struct policy *policy = policy_new(c->sections[0], stores, NULL, &diags);
    STACK_OF(X509) *sent = sk_X509_new_null();
    struct trust_verdict v = {0};
    struct cert_info info;
    char *text;

    (void)state;
    assert_non_null(policy);
    sk_X509_push(sent, leaf.x509);
    sk_X509_push(sent, ca.x509);
    trust_judge(policy, &(struct trust_evidence){.leaf = leaf.x509, .sent = sent, .complete = true},
                NOW, &v);
    assert_true(v.trusted);
    assert_string_equal(pin_label(v.pin), "second");
    assert_int_equal(peerchain_length(&v), 2);
    assert_true(peerchain_describe(&v, 1, &info));
    assert_string_equal(info.subject, "CN=Example CA");
    cert_info_free(&info);
    assert_false(peerchain_starts_with(&v, ca.x509));
    text = peerchain_pins(&v);
    assert_string_equal(text, keys("%s %s issuer:%s issuer-%s", certs_key_pin(&leaf),
                                   certs_cert_pin(&leaf), certs_key_pin(&ca), certs_cert_pin(&ca)));
    free(text);
    trust_verdict_free(&v);
    sk_X509_free(sent);
    policy_free(policy);
    config_free(c);
    diag_free(&diags);
}

/* SPEC 9: which of several reasons is told. */
static void reasons_have_their_precedence(void **state)
{
    struct cert bad = certs_make(&(struct cert_order){
        .san = "DNS:x.example", .key = weak_key, .from = -9, .to = -1, .issuer = &ca});
    struct cert late = certs_make(
        &(struct cert_order){.san = "DNS:x.example", .from = -9, .to = -1, .issuer = &ca});
    const char *own = certs_key_pin(&bad);

    (void)state;
    /* everything is wrong at once; then one thing less each time */
    expect(keys("%srevoked = %s\nalso_check = name dates", pin(&twin), own), &bad, REASON_REVOKED);
    expect(keys("%salso_check = name dates", pin(&twin)), &bad, REASON_PIN_MISMATCH);
    expect(keys("pin = %s until=2020-01-01\nalso_check = name dates", own), &bad,
           REASON_EXPIRED_PINS);
    expect(keys("%salso_check = name dates", pin(&bad)), &bad, REASON_WEAK);
    expect(keys("%salso_check = dates name", pin(&late)), &late, REASON_NAME);
    expect(keys("%salso_check = dates", pin(&late)), &late, REASON_DATES);
    /* the same under pin+pki */
    expect(keys("%srevoked = %s\nverify = pin+pki\nca_file = ca.pem", pin(&twin), own), &bad,
           REASON_REVOKED);
    expect(keys("%sverify = pin+pki\nca_file = ca.pem", pin(&twin)), &bad, REASON_PIN_MISMATCH);
    expect(keys("pin = %s until=2020-01-01\nverify = pin+pki\nca_file = ca.pem", own), &bad,
           REASON_EXPIRED_PINS);
    expect(keys("%sverify = pin+pki\nca_file = ca.pem", pin(&bad)), &bad, REASON_WEAK);
    expect(keys("%sverify = pin+pki\nca_file = ca.pem", pin(&late)), &late, REASON_PKI);
}

/* The first and the last second of a certificate are the same to both ways of looking. */
static void dates_mean_the_same_with_and_without_pki(void **state)
{
    struct cert c = certs_make(
        &(struct cert_order){.san = "DNS:api.example.com", .from = -1, .to = 1, .issuer = &ca});
    struct presented p = {.leaf = &c};
    int64_t day = 86400;

    (void)state;
    expect_at(keys("%salso_check = dates", pin(&c)), &p, NOW - day - 1, REASON_DATES);
    expect_at("verify = pki\nca_file = ca.pem", &p, NOW - day - 1, REASON_PKI);
    expect_at(keys("%salso_check = dates", pin(&c)), &p, NOW - day + 1, REASON_OK);
    expect_at("verify = pki\nca_file = ca.pem", &p, NOW - day + 1, REASON_OK);
    expect_at(keys("%salso_check = dates", pin(&c)), &p, NOW + day - 1, REASON_OK);
    expect_at("verify = pki\nca_file = ca.pem", &p, NOW + day - 1, REASON_OK);
    expect_at(keys("%salso_check = dates", pin(&c)), &p, NOW + day + 1, REASON_DATES);
    expect_at("verify = pki\nca_file = ca.pem", &p, NOW + day + 1, REASON_PKI);
}

static void report_mode_reports_what_it_lets_through(void **state)
{
    struct bench b;

    (void)state;
    temp_text("ca.pem", certs_pem(ca.x509));
    open_bench(&b, NULL,
               "verify = pin+pki\nca_file = ca.pem\npin = %s name=next\n"
               "enforce = report until=2027-01-16",
               certs_key_pin(&twin));
    assert_int_equal(judge(&b, &leaf, NULL, NULL), REASON_OK);
    assert_int_equal(b.verdict.reported, REASON_PIN_MISMATCH);
    assert_null(b.verdict.pin);
    assert_int_equal(judge(&b, &twin, NULL, NULL), REASON_PKI);
    assert_int_equal(judge_at(&b, NOW + DAY, &leaf, NULL, NULL), REASON_PIN_MISMATCH);
    assert_int_equal(b.verdict.reported, REASON_OK);
    close_bench(&b);
    open_bench(&b, NULL,
               "verify = pin+pki\nca_file = ca.pem\npin = %s\nenforce = report\nrevoked = %s",
               certs_key_pin(&leaf), certs_key_pin(&ca));
    assert_int_equal(judge(&b, &leaf, NULL, NULL), REASON_REVOKED);
    close_bench(&b);
    open_bench(&b, NULL, "verify = pin+pki\nca_file = ca.pem\npin = %s\nenforce = report",
               certs_key_pin(&leaf));
    assert_int_equal(judge(&b, &leaf, NULL, NULL), REASON_OK);
    assert_int_equal(b.verdict.reported, REASON_OK);
    assert_non_null(b.verdict.pin);
    close_bench(&b);
}

/* Whoever forgets to judge, or has nothing to judge, has not been told yes. */
static void a_verdict_starts_refused(void **state)
{
    struct config *c = take(keys("[api.example.com]\n%s", pin(&leaf)));
    struct diag_list diags = {0};
    struct policy *policy = policy_new(c->sections[0], stores, NULL, &diags);
    struct trust_verdict v = {0};

    (void)state;
    assert_false(v.trusted);
    assert_int_not_equal(v.reason, REASON_OK);
    assert_int_equal(peerchain_length(&v), 0);
    v.trusted = true; /* left over from whatever was before */
    trust_judge(policy, &(struct trust_evidence){.leaf = NULL, .sent = NULL, .complete = true}, NOW,
                &v);
    assert_false(v.trusted);
    assert_int_not_equal(v.reason, REASON_OK);
    assert_int_not_equal(v.x509_error, X509_V_OK);
    trust_verdict_free(&v);
    policy_free(policy);
    config_free(c);
}

static void a_section_without_pins_trusts_nobody(void **state)
{
    struct config_section *s;
    struct config *c = config_new_adhoc("api.example.com", &s);
    struct diag_list diags = {0};
    struct policy *policy = policy_new(s, stores, NULL, &diags);
    STACK_OF(X509) *sent = sk_X509_new_null();
    struct trust_verdict v = {0};
    char *text;

    (void)state;
    sk_X509_push(sent, leaf.x509);
    trust_judge(policy, &(struct trust_evidence){.leaf = leaf.x509, .sent = sent, .complete = true},
                NOW, &v);
    assert_false(v.trusted);
    assert_int_equal(v.reason, REASON_PIN_MISMATCH);
    trust_verdict_free(&v);
    policy_free(policy);

    policy = policy_new_probe(s);
    trust_judge(policy, &(struct trust_evidence){.leaf = leaf.x509, .sent = sent, .complete = true},
                NOW, &v);
    assert_false(v.trusted);
    assert_int_equal(v.reason, REASON_PROBE_ONLY);
    assert_int_not_equal(v.x509_error, X509_V_OK);
    text = peerchain_pki(policy, &v, NOW);
    assert_string_equal(text, "nothing to verify");
    free(text);
    trust_verdict_free(&v);
    policy_free(policy);
    sk_X509_free(sent);
    config_free(c);
}

/* Even a server whose key is pinned. */
static void a_probe_trusts_nobody(void **state)
{
    struct config *c = take(
        keys("[api.example.com]\n%sverify = pin+pki\nca_file = ca.pem\n", pin(&leaf)));
    struct policy *policy = policy_new_probe(c->sections[0]);
    STACK_OF(X509) *sent = sk_X509_new_null();
    struct trust_verdict v = {0};

    (void)state;
    sk_X509_push(sent, leaf.x509);
    sk_X509_push(sent, ca.x509);
    trust_judge(policy, &(struct trust_evidence){.leaf = leaf.x509, .sent = sent, .complete = true},
                NOW, &v);
    assert_false(v.trusted);
    assert_null(v.pin);
    assert_int_equal(v.reason, REASON_PROBE_ONLY);
    assert_int_equal(peerchain_length(&v), 2);
    trust_verdict_free(&v);
    policy_free(policy);
    sk_X509_free(sent);
    config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_pinned_key_is_trusted),
        cmocka_unit_test(a_digest_matches_in_its_kind_only),
        cmocka_unit_test(a_pinned_certificate_sent_along_proves_nothing),
        cmocka_unit_test(a_renewed_certificate_keeps_its_key_pin),
        cmocka_unit_test(a_pin_alone_checks_nothing_else),
        cmocka_unit_test(also_check_adds_checks_to_a_pin),
        cmocka_unit_test(a_pin_past_its_date_is_no_pin),
        cmocka_unit_test(a_revoked_key_is_refused_whatever_else_matches),
        cmocka_unit_test(a_revoked_key_in_the_verified_chain_refuses),
        cmocka_unit_test(the_detail_says_what_and_where),
        cmocka_unit_test(the_verdict_names_the_pin_that_matched),
        cmocka_unit_test(reasons_have_their_precedence),
        cmocka_unit_test(dates_mean_the_same_with_and_without_pki),
        cmocka_unit_test(report_mode_reports_what_it_lets_through),
        cmocka_unit_test(a_verdict_starts_refused),
        cmocka_unit_test(a_section_without_pins_trusts_nobody),
        cmocka_unit_test(a_probe_trusts_nobody),
    };

    return cmocka_run_group_tests(tests, judging_setup, judging_teardown);
}
