/* pin/spki: one key in whichever form it is written. */
#include "pin/spki.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "judging.h"
#include "learned/learned.h"
#include "trust/recheck.h"

static size_t write_key(const EVP_PKEY *key, unsigned char **der)
{
    int n;

    *der = NULL;
    n = i2d_PUBKEY(key, der);
    assert_true(n > 0);
    return (size_t)n;
}

static void digest_of(const EVP_PKEY *key, uint8_t out[32])
{
    unsigned char *der;
    const size_t n = write_key(key, &der);

    assert_int_equal(EVP_Digest(der, n, out, NULL, EVP_sha256(), NULL), 1);
    OPENSSL_free(der);
}

/* The key as a peer gives it to us. */
static EVP_PKEY *read_key(const uint8_t *der, size_t n)
{
    const uint8_t *p = der;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)n);

    if (!key)
        return NULL;
    assert_ptr_equal(p, der + n);
    return certs_take_key(key);
}

static EVP_PKEY *in_form(EVP_PKEY *key, const char *form)
{
    EVP_PKEY *copy = certs_take_key(EVP_PKEY_dup(key));
    unsigned char *der;
    size_t n;

    assert_int_equal(
        EVP_PKEY_set_utf8_string_param(copy, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, form), 1);
    n = write_key(copy, &der);
    copy = read_key(der, n);
    OPENSSL_free(der);
    return copy;
}

static EVP_PKEY *make(const char *type)
{
    if (strncmp(type, "RSA ", 4) == 0)
        return certs_rsa_key((unsigned)atoi(type + 4));
    if (strncmp(type, "ED", 2) == 0)
        return certs_take_key(EVP_PKEY_Q_keygen(NULL, NULL, type));
    return certs_take_key(EVP_EC_gen(type));
}

static void keys_as_everybody_writes_them_are_ordinary(void **state)
{
    static const char *const types[] = {"P-256", "P-384",    "P-521",   "ED25519",
                                        "ED448", "RSA 2048", "RSA 3072"};
    uint8_t want[32], got[32];
    size_t i, n;

    (void)state;
    for (i = 0; i < COUNT(types); i++) {
        EVP_PKEY *key = make(types[i]);
        unsigned char *der;

        n = write_key(key, &der);
        assert_true(spki_is_ordinary(der, n));
        assert_false(spki_is_ordinary(der, n - 1));
        digest_of(key, want);
        assert_true(spki_ordinary_digest(read_key(der, n), got));
        assert_memory_equal(want, got, sizeof(want));
        OPENSSL_free(der);
    }
    /* others are only slower */
    digest_of(make("brainpoolP256r1"), want);
    assert_true(spki_ordinary_digest(make("RSA 1024"), got));
}

static void another_form_of_a_point_is_the_same_key(void **state)
{
    static const char *const curves[] = {"P-256", "P-384", "P-521", "brainpoolP256r1"};
    static const char *const forms[] = {"compressed", "hybrid"};
    uint8_t want[32], form[32], got[32];
    size_t i, f, n;

    (void)state;
    for (i = 0; i < COUNT(curves); i++)
        for (f = 0; f < COUNT(forms); f++) {
            EVP_PKEY *key = make(curves[i]), *other = in_form(key, forms[f]);
            unsigned char *der;

            digest_of(key, want);
            digest_of(other, form);
            assert_memory_not_equal(want, form, sizeof(want));
            n = write_key(other, &der);
            assert_false(spki_is_ordinary(der, n));
            OPENSSL_free(der);
            assert_true(spki_ordinary_digest(other, got));
            assert_memory_equal(want, got, sizeof(want));
        }
}

/* The SubjectPublicKeyInfo of an RSA key as id-RSASSA-PSS without parameters (RFC 4055). */
static EVP_PKEY *as_pss(EVP_PKEY *key)
{
    X509_PUBKEY *spki = NULL;
    unsigned char *der = NULL;
    const unsigned char *bits;
    EVP_PKEY *pss;
    int n;

    assert_int_equal(X509_PUBKEY_set(&spki, key), 1);
    assert_int_equal(X509_PUBKEY_get0_param(NULL, &bits, &n, NULL, spki), 1);
    assert_int_equal(X509_PUBKEY_set0_param(spki, OBJ_nid2obj(NID_rsassaPss), V_ASN1_UNDEF, NULL,
                                            OPENSSL_memdup(bits, (size_t)n), n),
                     1);
    n = i2d_X509_PUBKEY(spki, &der);
    pss = read_key(der, (size_t)n);
    assert_non_null(pss);
    assert_true(EVP_PKEY_is_a(pss, "RSA-PSS"));
    OPENSSL_free(der);
    X509_PUBKEY_free(spki);
    return pss;
}

static void a_key_for_one_kind_of_signature_is_the_same_key(void **state)
{
    EVP_PKEY *key = certs_rsa_key(2048), *pss = as_pss(key);
    uint8_t want[32], got[32];

    (void)state;
    digest_of(key, want);
    digest_of(pss, got);
    assert_memory_not_equal(want, got, sizeof(want));
    assert_true(spki_ordinary_digest(pss, got));
    assert_memory_equal(want, got, sizeof(want));
}

/* OpenSSL reads lengths that are longer than they must be. */
static void a_key_that_is_not_written_in_der_is_the_same_key(void **state)
{
    EVP_PKEY *key = certs_rsa_key(2048), *other;
    uint8_t want[32], got[32], longer[400];
    unsigned char *der;
    const size_t n = write_key(key, &der);

    (void)state;
    digest_of(key, want);
    assert_int_equal(n, 294);
    /* the outer length, 82 01 22, as 83 00 01 22 */
    longer[0] = der[0];
    memcpy(longer + 1, "\x83\x00\x01\x22", 4);
    memcpy(longer + 5, der + 4, n - 4);
    assert_false(spki_is_ordinary(longer, n + 1));
    other = read_key(longer, n + 1);
    if (other) { /* or it is no key to this library */
        assert_true(spki_ordinary_digest(other, got));
        assert_memory_equal(want, got, sizeof(want));
    }
    OPENSSL_free(der);
    ERR_clear_error();
}

/* A thief of a revoked key can have it certified, or present it, in another form. */
static void a_revoked_key_is_refused_in_every_form(void **state)
{
    EVP_PKEY *ec = certs_ec_key(), *rsa = certs_rsa_key(2048);
    EVP_PKEY *const rows[][2] = {
        {ec, in_form(ec, "compressed")}, {ec, in_form(ec, "hybrid")}, {rsa, as_pss(rsa)}};
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        struct cert known = certs_make(&(struct cert_order){.cn = "known", .key = rows[i][0]});
        struct cert other = certs_make(&(struct cert_order){
            .cn = "CA", .san = "DNS:api.example.com", .key = rows[i][1], .issuer = &ca});
        const struct trust_evidence raw = {.raw_key = rows[i][1], .complete = true};
        const char *revoked = certs_key_pin(&known);
        struct learned *l = new_store("forms");
        struct bench b;

        assert_string_not_equal(revoked, certs_key_pin(&other));
        expect(keys("%srevoked = %s", pin(&other), revoked), &other, REASON_REVOKED);
        expect(keys("verify = pki\nca_file = ca.pem\nrevoked = %s", revoked), &other,
               REASON_REVOKED);
        expect(keys("%s", pin(&other)), &other, REASON_OK);
        open_bench(&b, l, "verify = tofu\nraw_key = offer\nrevoked = %s", revoked);
        assert_int_equal(judge(&b, &other, NULL, NULL), REASON_REVOKED);
        trust_verdict_free(&b.verdict);
        trust_judge(b.policy, &raw, NOW, &b.verdict);
        assert_int_equal(b.verdict.reason, REASON_REVOKED);
        close_bench(&b);
        learned_release(l);
    }
}

static void an_open_tunnel_is_closed_when_its_key_is_revoked_in_another_form(void **state)
{
    EVP_PKEY *key = certs_ec_key();
    struct cert known = certs_make(&(struct cert_order){.cn = "known", .key = key});
    struct cert other = certs_make(
        &(struct cert_order){.cn = "other", .key = in_form(key, "compressed"), .issuer = &ca});
    char detail[TRUST_DETAIL_SIZE];
    struct bench b, after;

    (void)state;
    open_bench(&b, NULL, "%s", pin(&other));
    open_bench(&after, NULL, "%srevoked = %s", pin(&other), certs_key_pin(&known));
    assert_int_equal(judge(&b, &other, NULL, NULL), REASON_OK);
    assert_int_equal(recheck_verdict(b.policy, &b.verdict, NOW, NOW, detail), REASON_OK);
    assert_int_equal(recheck_verdict(after.policy, &b.verdict, NOW, NOW, detail), REASON_REVOKED);
    close_bench(&b);
    close_bench(&after);
}

/* The chain goes through a CA whose key is revoked in its ordinary form. */
static void a_ca_with_a_revoked_key_in_another_form_is_refused(void **state)
{
    EVP_PKEY *key = certs_ec_key();
    struct cert known = certs_make(&(struct cert_order){.cn = "known", .key = key});
    struct cert inner = certs_make(&(struct cert_order){
        .cn = "Inner", .ca = true, .issuer = &ca, .key = in_form(key, "compressed")});
    struct cert server;
    char detail[TRUST_DETAIL_SIZE];
    struct bench b, after;

    (void)state;
    inner.key = key; /* which can sign */
    server = certs_leaf("DNS:api.example.com", &inner);
    open_bench(&b, NULL, "verify = pki\nca_file = ca.pem");
    open_bench(&after, NULL, "verify = pki\nca_file = ca.pem\nrevoked = %s", certs_key_pin(&known));
    assert_int_equal(judge(&b, &server, &inner, NULL), REASON_OK);
    assert_int_equal(recheck_verdict(after.policy, &b.verdict, NOW, NOW, detail), REASON_REVOKED);
    assert_int_equal(judge(&after, &server, &inner, NULL), REASON_REVOKED);
    close_bench(&b);
    close_bench(&after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_as_everybody_writes_them_are_ordinary),
        cmocka_unit_test(another_form_of_a_point_is_the_same_key),
        cmocka_unit_test(a_key_for_one_kind_of_signature_is_the_same_key),
        cmocka_unit_test(a_key_that_is_not_written_in_der_is_the_same_key),
        cmocka_unit_test(a_revoked_key_is_refused_in_every_form),
        cmocka_unit_test(an_open_tunnel_is_closed_when_its_key_is_revoked_in_another_form),
        cmocka_unit_test(a_ca_with_a_revoked_key_in_another_form_is_refused),
    };

    return cmocka_run_group_tests(tests, judging_setup, judging_teardown);
}
