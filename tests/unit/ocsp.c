/* trust/ocsp: responses made to order, and damaged ones. */
#include "trust/ocsp.h"

#include <openssl/ocsp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "certs.h"
#include "help.h"

#define NOW CERTS_NOW
#define HOUR 3600

static struct cert ca, leaf;

/* A response signed by the issuer, in DER; from and until are seconds from NOW. */
static size_t make_with(const EVP_MD *md, int status, long from, long until, unsigned char **der)
{
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha256(), leaf.x509, ca.x509);
    ASN1_TIME *this_update = ASN1_TIME_adj(NULL, (time_t)NOW, 0, from);
    ASN1_TIME *next_update = ASN1_TIME_adj(NULL, (time_t)NOW, 0, until);
    ASN1_TIME *revoked = status == V_OCSP_CERTSTATUS_REVOKED
                             ? ASN1_TIME_adj(NULL, (time_t)NOW, 0, -HOUR)
                             : NULL;
    OCSP_RESPONSE *response;
    int n;

    assert_non_null(
        OCSP_basic_add1_status(basic, id, status, 0, revoked, this_update, next_update));
    assert_int_equal(OCSP_basic_sign(basic, ca.x509, ca.key, md, NULL, OCSP_NOCERTS), 1);
    response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    *der = NULL;
    n = i2d_OCSP_RESPONSE(response, der);
    assert_true(n > 0);
    ASN1_TIME_free(this_update);
    ASN1_TIME_free(next_update);
    ASN1_TIME_free(revoked);
    OCSP_CERTID_free(id);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    return (size_t)n;
}

static size_t make(int status, long from, long until, unsigned char **der)
{
    return make_with(EVP_sha256(), status, from, until, der);
}

static void a_weak_signature_is_refused(void **state)
{
    unsigned char *der;
    size_t n = make_with(EVP_sha1(), V_OCSP_CERTSTATUS_GOOD, -HOUR, HOUR, &der);

    (void)state;
    assert_contains(ocsp_check(der, n, leaf.x509, ca.x509, NOW), "SHA-1");
    OPENSSL_free(der);
}

static void expect(int status, long from, long until, const char *want)
{
    unsigned char *der;
    size_t n = make(status, from, until, &der);
    const char *why = ocsp_check(der, n, leaf.x509, ca.x509, NOW);

    if (want) {
        assert_non_null(why);
        assert_contains(why, want);
        assert_memory_equal(why, "OCSP: ", 6);
    } else if (why) {
        fail_msg("%s", why);
    }
    OPENSSL_free(der);
}

static void only_a_good_response_of_today_is_accepted(void **state)
{
    (void)state;
    expect(V_OCSP_CERTSTATUS_GOOD, -HOUR, HOUR, NULL);
    expect(V_OCSP_CERTSTATUS_REVOKED, -HOUR, HOUR, "revoked");
    expect(V_OCSP_CERTSTATUS_UNKNOWN, -HOUR, HOUR, "does not know");
    expect(V_OCSP_CERTSTATUS_GOOD, -9 * HOUR, -HOUR, "expired");
    expect(V_OCSP_CERTSTATUS_GOOD, HOUR, 9 * HOUR, "not valid yet");
    /* clocks differ by minutes */
    expect(V_OCSP_CERTSTATUS_GOOD, -HOUR, -200, NULL);
    expect(V_OCSP_CERTSTATUS_GOOD, 200, HOUR, NULL);
}

static void a_missing_or_unreadable_response_is_refused(void **state)
{
    (void)state;
    assert_contains(ocsp_check(NULL, 0, leaf.x509, ca.x509, NOW), "no response");
    assert_contains(ocsp_check((const uint8_t *)"", 0, leaf.x509, ca.x509, NOW), "cannot be read");
    assert_contains(ocsp_check((const uint8_t *)"\x30\x03\x0a\x01\x03", 5, leaf.x509, ca.x509, NOW),
                    "with an error");
    /* successful, without an answer in it */
    assert_non_null(
        ocsp_check((const uint8_t *)"\x30\x03\x0a\x01\x00", 5, leaf.x509, ca.x509, NOW));
}

static void another_issuer_is_refused(void **state)
{
    struct cert other = certs_ca("Example CA");
    unsigned char *der;
    size_t n = make(V_OCSP_CERTSTATUS_GOOD, -HOUR, HOUR, &der);

    (void)state;
    assert_contains(ocsp_check(der, n, leaf.x509, other.x509, NOW), "not signed by");
    assert_contains(ocsp_check(der, n, other.x509, ca.x509, NOW), "another certificate");
    OPENSSL_free(der);
}

/* The same issuer, key and name: the serial number alone is another. */
static void another_serial_number_is_refused(void **state)
{
    struct cert other = certs_make(
        &(struct cert_order){.cn = "api.example.com", .issuer = &ca, .key = leaf.key});
    unsigned char *der;
    size_t n = make(V_OCSP_CERTSTATUS_GOOD, -HOUR, HOUR, &der);

    (void)state;
    assert_null(ocsp_check(der, n, leaf.x509, ca.x509, NOW));
    assert_contains(ocsp_check(der, n, other.x509, ca.x509, NOW), "another certificate");
    OPENSSL_free(der);
}

/* BER spells some things in two ways (a string in pieces): those say the same. */
static bool reads_as(const unsigned char *bytes, size_t n, const unsigned char *der)
{
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &bytes, (long)n);
    OCSP_BASICRESP *basic = response ? OCSP_response_get1_basic(response) : NULL;
    OCSP_RESPONSE *again = basic ? OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic)
                                 : NULL;
    unsigned char *out = NULL;
    int len = again ? i2d_OCSP_RESPONSE(again, &out) : 0;
    bool same = len == (int)n && memcmp(out, der, n) == 0;

    OPENSSL_free(out);
    OCSP_RESPONSE_free(again);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    return same;
}

static void a_damaged_response_is_refused(void **state)
{
    unsigned char *der, *whole;
    size_t n = make(V_OCSP_CERTSTATUS_GOOD, -HOUR, HOUR, &der), i;

    (void)state;
    whole = malloc(n);
    memcpy(whole, der, n);
    for (i = 0; i < n; i++) {
        int bit;

        assert_non_null(ocsp_check(der, i, leaf.x509, ca.x509, NOW)); /* cut off */
        for (bit = 0; bit < 8; bit++) {
            der[i] ^= (unsigned char)(1 << bit);
            if (!ocsp_check(der, n, leaf.x509, ca.x509, NOW) && !reads_as(der, n, whole))
                fail_msg("byte %zu, bit %d", i, bit);
            der[i] ^= (unsigned char)(1 << bit);
        }
    }
    assert_null(ocsp_check(der, n, leaf.x509, ca.x509, NOW));
    OPENSSL_free(der);
    free(whole);
}

static int setup(void **state)
{
    (void)state;
    ca = certs_ca("Example CA");
    leaf = certs_leaf("DNS:api.example.com", &ca);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_good_response_of_today_is_accepted),
        cmocka_unit_test(a_missing_or_unreadable_response_is_refused),
        cmocka_unit_test(a_weak_signature_is_refused),
        cmocka_unit_test(another_issuer_is_refused),
        cmocka_unit_test(another_serial_number_is_refused),
        cmocka_unit_test(a_damaged_response_is_refused),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
