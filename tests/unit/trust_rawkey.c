/* trust/trust: raw public keys (RFC 7250), which are judged as certificates are. */
#include "trust/trust.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "judging.h"
#include "learned/learned.h"
#include "learning.h"
#include "trust/peerchain.h"
#include "trust/recheck.h"

/* Judges the key of a certificate, presented alone. */
static enum reason judge_key(struct bench *b, int64_t now, EVP_PKEY *key)
{
    const struct trust_evidence e = {.raw_key = key, .complete = true};
    struct trust_verdict *v = &b->verdict;

    trust_verdict_free(v);
    trust_judge(b->policy, &e, now, v);
    assert_int_equal(v->trusted, v->reason == REASON_OK);
    assert_int_equal(v->trusted, v->x509_error == X509_V_OK);
    assert_int_equal(peerchain_length(v), 1);
    assert_true(peerchain_is_key(v, key));
    assert_null(peerchain_leaf(v));
    if (!v->trusted)
        assert_null(v->pin);
    return v->reason;
}

static void expect_key_at(const char *lines, EVP_PKEY *key, int64_t now, enum reason want,
                          const char *part)
{
    struct bench b;

    open_bench(&b, NULL, "%s", lines);
    if (judge_key(&b, now, key) != want)
        fail_msg("%s\nwant %s, got %s: %s", lines, reason_name(want), reason_name(b.verdict.reason),
                 b.verdict.detail);
    if (part)
        assert_contains(b.verdict.detail, part);
    close_bench(&b);
}

static void expect_key(const char *lines, EVP_PKEY *key, enum reason want, const char *part)
{
    expect_key_at(lines, key, NOW, want, part);
}

static void a_pinned_key_is_trusted_and_no_other_is(void **state)
{
    static const char *const forms[] = {"offer", "require"};
    size_t i;

    (void)state;
    temp_text("key.pem", certs_public_pem(leaf.key));
    for (i = 0; i < COUNT(forms); i++) {
        expect_key(keys("raw_key = %s\n%s", forms[i], pin(&leaf)), leaf.key, REASON_OK, NULL);
        expect_key(keys("raw_key = %s\npin = key:key.pem", forms[i]), leaf.key, REASON_OK, NULL);
        expect_key(keys("raw_key = %s\n%s", forms[i], pin(&leaf)), twin.key, REASON_PIN_MISMATCH,
                   "raw public key");
    }
}

/* The certificate of the very key is pinned, as the server's and as a CA's. */
static void pins_of_certificates_and_cas_never_match(void **state)
{
    char text[512];

    (void)state;
    snprintf(text, sizeof(text), "raw_key = offer\n%s    %s", pin(&twin), certs_cert_pin(&leaf));
    expect_key(text, leaf.key, REASON_PIN_MISMATCH, "raw public key");
    snprintf(text, sizeof(text), "raw_key = offer\n%s    issuer:%s", pin(&twin),
             certs_key_pin(&leaf));
    expect_key(text, leaf.key, REASON_PIN_MISMATCH, "raw public key");
    snprintf(text, sizeof(text), "raw_key = offer\n%s    issuer-cert:ca.pem", pin(&twin));
    expect_key(text, ca.key, REASON_PIN_MISMATCH, "raw public key");
}

static void a_pin_of_a_certificate_matches_no_raw_key_whatever_its_digest(void **state)
{
    static const uint8_t zero[CERT_DIGEST_SIZE];
    const struct pin of_cert = pin_make(PIN_SERVER, PIN_CERT, zero);
    struct cert_digests digests;

    (void)state;
    assert_true(cert_raw_key_digests(leaf.key, &digests));
    assert_memory_equal(digests.cert, zero, sizeof(zero));
    assert_false(pin_matches(&of_cert, PIN_SERVER, &digests));
    digests.is_raw_key = false;
    assert_true(pin_matches(&of_cert, PIN_SERVER, &digests));
}

static void a_revoked_key_is_refused_whatever_else_matches(void **state)
{
    (void)state;
    expect_key(keys("raw_key = offer\n%srevoked = %s", pin(&leaf), certs_key_pin(&leaf)), leaf.key,
               REASON_REVOKED, "revoked");
    expect_key(keys("raw_key = require\nverify = tofu\nrevoked = %s", certs_key_pin(&leaf)),
               leaf.key, REASON_REVOKED, "revoked");
}

static void a_pin_past_its_date_is_not_accepted(void **state)
{
    const char *lines = keys("raw_key = offer\npin = %s until=2027-01-16", certs_key_pin(&leaf));

    (void)state;
    expect_key(lines, leaf.key, REASON_OK, NULL);
    expect_key_at(lines, leaf.key, NOW + DAY, REASON_EXPIRED_PINS, "2027-01-16");
}

static void a_weak_key_is_refused_although_it_is_pinned(void **state)
{
    struct cert weak = certs_make(&(struct cert_order){.cn = "weak", .key = weak_key});

    (void)state;
    expect_key(keys("raw_key = offer\n%s", pin(&weak)), weak.key, REASON_WEAK, "1024 bits");
}

/* The policy of a reload may not want what the handshake has asked for. */
static void the_other_form_is_refused(void **state)
{
    (void)state;
    expect_key(pin(&leaf), leaf.key, REASON_RAW_KEY, "raw_key = no");
    expect_key(keys("%sverify = pin+pki\nca_file = ca.pem", pin(&leaf)), leaf.key, REASON_RAW_KEY,
               NULL);
    expect_key("verify = pki\nca_file = ca.pem", leaf.key, REASON_RAW_KEY, NULL);
    expect_key(keys("%sverify = pin+pki\nenforce = report\nca_file = ca.pem", pin(&twin)), leaf.key,
               REASON_RAW_KEY, NULL);
    expect_key("verify = tofu+pki\nca_file = ca.pem", leaf.key, REASON_RAW_KEY, NULL);
    expect_key(keys("revoked = %s\n%s", certs_key_pin(&leaf), pin(&leaf)), leaf.key, REASON_REVOKED,
               NULL);
    expect(keys("raw_key = require\n%s", pin(&leaf)), &leaf, REASON_RAW_KEY);
    expect(keys("raw_key = require\n%s", pin(&leaf)), &twin, REASON_PIN_MISMATCH);
    expect(keys("raw_key = require\n%srevoked = %s", pin(&leaf), certs_key_pin(&leaf)), &leaf,
           REASON_REVOKED);
    expect("raw_key = require\nverify = tofu", &leaf, REASON_RAW_KEY);
    expect(keys("raw_key = offer\n%s", pin(&leaf)), &leaf, REASON_OK);
    expect(keys("raw_key = offer\n%s", pin(&leaf)), &twin, REASON_PIN_MISMATCH);
}

/* validate.c reports these; were they ever set, a key without a name would have no name. */
static void what_a_key_cannot_have_is_not_assumed(void **state)
{
    static const unsigned asked[] = {ALSO_CHECK_NAME, ALSO_CHECK_DATES};
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(asked); i++) {
        struct bench b;

        open_bench(&b, NULL, "raw_key = offer\n%s", pin(&leaf));
        b.config->sections[0]->also_check = asked[i];
        assert_int_equal(judge_key(&b, NOW, leaf.key), REASON_NAME);
        b.config->sections[0]->also_check = 0;
        b.config->sections[0]->verify = VERIFY_PKI;
        assert_int_equal(judge_key(&b, NOW, leaf.key), REASON_RAW_KEY);
        close_bench(&b);
    }
}

static void a_key_and_a_certificate_together_are_no_evidence(void **state)
{
    struct trust_evidence e = {.leaf = leaf.x509, .raw_key = leaf.key, .complete = true};
    struct bench b;

    (void)state;
    open_bench(&b, NULL, "raw_key = offer\n%s", pin(&leaf));
    trust_judge(b.policy, &e, NOW, &b.verdict);
    assert_false(b.verdict.trusted);
    assert_int_equal(peerchain_length(&b.verdict), 0);
    trust_verdict_free(&b.verdict);
    e = (struct trust_evidence){.complete = true};
    trust_judge(b.policy, &e, NOW, &b.verdict);
    assert_false(b.verdict.trusted);
    assert_int_equal(peerchain_length(&b.verdict), 0);
    close_bench(&b);
}

/* The key that is seen first may be a raw one, and is the same key in a certificate later. */
static void a_first_use_stores_the_key(void **state)
{
    struct learned *l = new_store("first");
    uint8_t key[CERT_DIGEST_SIZE];
    struct bench b;

    (void)state;
    open_bench(&b, l, "verify = tofu\nraw_key = offer");
    assert_int_equal(judge_key(&b, NOW, leaf.key), REASON_FIRST_USE);
    assert_true(cert_key_digest(leaf.x509, key));
    assert_memory_equal(b.verdict.server.key, key, sizeof(key));
    learn_key(l, "api.example.com", "api.example.com:443", key, NOW);
    assert_int_equal(judge_key(&b, NOW, leaf.key), REASON_OK);
    assert_int_equal(judge(&b, &leaf, NULL, NULL), REASON_OK);
    assert_int_equal(judge_key(&b, NOW, twin.key), REASON_TOFU_CHANGED);
    assert_int_equal(judge_key(&b, NOW, weak_key), REASON_WEAK);
    close_bench(&b);
    learned_release(l);
}

static void a_reload_checks_an_open_tunnel_by_its_raw_key(void **state)
{
    char detail[TRUST_DETAIL_SIZE];
    struct bench b, revoking, without;

    (void)state;
    open_bench(&b, NULL, "raw_key = offer\n%s", pin(&leaf));
    open_bench(&revoking, NULL, "%srevoked = %s", pin(&twin), certs_key_pin(&leaf));
    open_bench(&without, NULL, "%son_pin_removed = close", pin(&twin));
    assert_int_equal(judge_key(&b, NOW, leaf.key), REASON_OK);
    assert_int_equal(recheck_verdict(b.policy, &b.verdict, NOW, NOW, detail), REASON_OK);
    assert_int_equal(recheck_verdict(revoking.policy, &b.verdict, NOW, NOW, detail),
                     REASON_REVOKED);
    assert_int_equal(recheck_verdict(without.policy, &b.verdict, NOW, NOW, detail),
                     REASON_PIN_REMOVED);
    close_bench(&b);
    close_bench(&revoking);
    close_bench(&without);
}

static void a_raw_key_is_described_without_what_it_has_not(void **state)
{
    struct cert_info info;
    struct bench b;
    char *text;

    (void)state;
    open_bench(&b, NULL, "raw_key = offer\n%s", pin(&leaf));
    (void)judge_key(&b, NOW, leaf.key);
    assert_true(peerchain_describe(&b.verdict, 0, &info));
    assert_true(info.digests.is_raw_key);
    assert_null(info.subject);
    assert_null(info.issuer);
    assert_string_equal(info.key_type, "EC P-256");
    cert_info_free(&info);
    text = peerchain_pins(&b.verdict);
    assert_string_equal(text, certs_key_pin(&leaf));
    free(text);
    text = peerchain_pki(b.policy, &b.verdict, NOW);
    assert_contains(text, "without a certificate");
    free(text);
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pinned_key_is_trusted_and_no_other_is),
        cmocka_unit_test(pins_of_certificates_and_cas_never_match),
        cmocka_unit_test(a_pin_of_a_certificate_matches_no_raw_key_whatever_its_digest),
        cmocka_unit_test(a_revoked_key_is_refused_whatever_else_matches),
        cmocka_unit_test(a_pin_past_its_date_is_not_accepted),
        cmocka_unit_test(a_weak_key_is_refused_although_it_is_pinned),
        cmocka_unit_test(the_other_form_is_refused),
        cmocka_unit_test(what_a_key_cannot_have_is_not_assumed),
        cmocka_unit_test(a_key_and_a_certificate_together_are_no_evidence),
        cmocka_unit_test(a_first_use_stores_the_key),
        cmocka_unit_test(a_reload_checks_an_open_tunnel_by_its_raw_key),
        cmocka_unit_test(a_raw_key_is_described_without_what_it_has_not),
    };

    return cmocka_run_group_tests(tests, judging_setup, judging_teardown);
}
