/*
 * tls/certmsg: which Certificate messages OpenSSL may parse. What is let through may cost its
 * worst.
 */
#include "tls/certmsg.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <stdlib.h>
#include <string.h>

#include "certs.h"
#include "help.h"

static uint8_t message[1 << 17];
static size_t length;
static bool tls13, raw;

static void put_length(uint8_t *at, size_t n)
{
    at[0] = (uint8_t)(n >> 16);
    at[1] = (uint8_t)(n >> 8);
    at[2] = (uint8_t)n;
}

/* Header, for TLS 1.3 an empty context, an empty list. */
static void begin(void)
{
    memset(message, 0, sizeof(message));
    message[0] = 11;
    length = tls13 ? 8 : 7;
}

static void add(const void *der, size_t n)
{
    put_length(message + length, n);
    memcpy(message + length + 3, der, n);
    length += 3 + n + (tls13 ? 2 : 0); /* no extensions */
    put_length(message + 1, length - 4);
    put_length(message + (tls13 ? 5 : 4), length - (tls13 ? 8 : 7));
}

static const char *check(void)
{
    /* of the exact size, so that a sanitizer sees one byte too far */
    uint8_t *copy = malloc(length);
    const char *why;

    assert_non_null(copy);
    memcpy(copy, message, length);
    why = certmsg_check(copy, length, tls13, raw);
    free(copy);
    return why;
}

static const char *check_one(const X509 *cert)
{
    const unsigned char *der;
    size_t n = certs_der(cert, &der);

    begin();
    add(der, n);
    return check();
}

static EVP_PKEY *ec_key(const char *curve, const char *form, const char *encoding)
{
    EVP_PKEY *key = certs_take_key(EVP_EC_gen(curve));

    assert_int_equal(
        EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, form), 1);
    assert_int_equal(EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_ENCODING, encoding), 1);
    return key;
}

/* A certificate that shows this key, and is signed by another. */
static struct cert showing(EVP_PKEY *key)
{
    static struct cert ca;

    if (!ca.x509)
        ca = certs_ca("CA");
    return certs_make(&(struct cert_order){.cn = "a", .key = key, .issuer = &ca});
}

static void certificates_of_every_common_kind_pass(void **state)
{
    struct cert rows[] = {
        certs_leaf("DNS:a.example", NULL),
        certs_ca("CA"),
        showing(certs_rsa_key(2048)),
        showing(certs_take_key(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"))),
        showing(certs_take_key(EVP_PKEY_Q_keygen(NULL, NULL, "ED448"))),
        showing(ec_key("P-224", "uncompressed", "named_curve")),
        showing(ec_key("brainpoolP256r1", "uncompressed", "named_curve")),
        showing(ec_key("P-256", "compressed", "named_curve")),
        showing(ec_key("P-384", "compressed", "named_curve")),
        showing(ec_key("P-521", "compressed", "named_curve")),
    };
    size_t i;
    int v;

    (void)state;
    for (v = 0; v < 2; v++) {
        tls13 = v;
        for (i = 0; i < COUNT(rows); i++)
            assert_null(check_one(rows[i].x509));
    }
}

/* Its points need a square root, by a prime of the server's choice. */
static void a_curve_with_explicit_parameters_is_refused(void **state)
{
    static const char *const forms[] = {"uncompressed", "compressed"};
    size_t i;
    int v;

    (void)state;
    for (v = 0; v < 2; v++) {
        tls13 = v;
        for (i = 0; i < COUNT(forms); i++) {
            struct cert c = showing(ec_key("P-256", forms[i], "explicit"));

            assert_contains(check_one(c.x509), "without a name");
        }
    }
}

static void a_compressed_point_on_a_slow_curve_is_refused(void **state)
{
    struct cert c = showing(ec_key("P-224", "compressed", "named_curve"));

    (void)state;
    assert_contains(check_one(c.x509), "compressed form");
}

/* Wherever in the list it is. */
static void every_certificate_is_checked(void **state)
{
    struct cert good = certs_leaf("DNS:a.example", NULL),
                bad = showing(ec_key("P-224", "compressed", "named_curve"));
    const unsigned char *der;
    int v, at, i;
    size_t n;

    (void)state;
    for (v = 0; v < 2; v++) {
        tls13 = v;
        for (at = 0; at < CERTMSG_CERTIFICATES_MAX; at++) {
            begin();
            for (i = 0; i < CERTMSG_CERTIFICATES_MAX; i++) {
                n = certs_der(i == at ? bad.x509 : good.x509, &der);
                add(der, n);
            }
            assert_contains(check(), "compressed form");
        }
    }
}

static void the_number_of_certificates_is_bounded(void **state)
{
    struct cert c = certs_leaf("DNS:a.example", NULL);
    const unsigned char *der;
    const size_t n = certs_der(c.x509, &der);
    int v, i;

    (void)state;
    for (v = 0; v < 2; v++) {
        tls13 = v;
        begin();
        assert_null(check());
        for (i = 0; i < CERTMSG_CERTIFICATES_MAX; i++)
            add(der, n);
        assert_null(check());
        add(der, n);
        assert_contains(check(), "more than 32 certificates");
    }
}

/* OpenSSL takes BER too: what this module does not understand must not get there. */
static void what_is_not_der_is_refused(void **state)
{
    static const uint8_t indefinite[] = {0x30, 0x80, 0x30, 0x80, 0, 0, 0, 0};
    struct cert c = certs_leaf("DNS:a.example", NULL);
    const unsigned char *der;
    const size_t n = certs_der(c.x509, &der);
    unsigned char *copy = malloc(n);

    (void)state;
    assert_non_null(copy);
    begin();
    add(indefinite, sizeof(indefinite));
    assert_contains(check(), "cannot be read");
    begin();
    add("", 0);
    assert_contains(check(), "cannot be read");
    memcpy(copy, der, n);
    copy[0] = 0x31;
    begin();
    add(copy, n);
    assert_contains(check(), "cannot be read");
    free(copy);
}

/* A raw public key: alone in TLS 1.2, and an entry of a list in TLS 1.3. */
static const char *check_raw(EVP_PKEY *key)
{
    unsigned char *der = NULL;
    const int n = i2d_PUBKEY(key, &der);
    const char *why;

    assert_true(n > 0);
    begin();
    if (tls13) {
        add(der, (size_t)n);
    } else {
        memcpy(message + length, der, (size_t)n);
        length += (size_t)n;
        put_length(message + 1, length - 4);
        put_length(message + 4, length - 7);
    }
    OPENSSL_free(der);
    raw = true;
    why = check();
    raw = false;
    return why;
}

static void raw_public_keys_are_checked_as_those_of_certificates(void **state)
{
    int v;

    (void)state;
    for (v = 0; v < 2; v++) {
        tls13 = v;
        assert_null(check_raw(certs_ec_key()));
        assert_null(check_raw(certs_rsa_key(2048)));
        assert_null(check_raw(certs_take_key(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"))));
        assert_null(check_raw(ec_key("P-256", "compressed", "named_curve")));
        assert_contains(check_raw(ec_key("P-224", "compressed", "named_curve")), "compressed form");
        assert_contains(check_raw(ec_key("P-256", "uncompressed", "explicit")), "without a name");
    }
}

/* What the server has chosen to send decides, and not what the bytes look like. */
static void a_certificate_is_no_raw_key_and_the_other_way_round(void **state)
{
    struct cert c = certs_leaf("DNS:a.example", NULL);
    int v;

    (void)state;
    for (v = 0; v < 2; v++) {
        tls13 = v;
        assert_null(check_one(c.x509));
        raw = true;
        assert_contains(check(), "raw public key cannot be read");
        begin();
        assert_contains(check(), "raw public key cannot be read");
        raw = false;
    }
    tls13 = true;
    assert_null(check_raw(c.key));
    assert_contains(check(), "certificate cannot be read");
}

/* Nor is it read beyond its end. */
static void no_message_is_read_beyond_its_end(void **state)
{
    struct cert c = certs_leaf("DNS:a.example", NULL);
    uint32_t seed = 3;
    size_t whole, i;
    int v;

    (void)state;
    for (v = 0; v < 4; v++) {
        tls13 = v % 2;
        (void)(v < 2 ? check_one(c.x509) : check_raw(c.key));
        raw = v >= 2;
        for (whole = length; length > 0; length--)
            (void)check();
        for (i = 0; i < 2000; i++) {
            length = whole;
            message[4 + random_next(&seed) % (whole - 4)] ^= (uint8_t)(1U
                                                                       << random_next(&seed) % 8);
            (void)check();
        }
    }
    raw = false;
    length = 0;
    assert_null(certmsg_check(NULL, 0, false, false));
}

static void other_messages_pass(void **state)
{
    struct cert c = showing(ec_key("P-224", "compressed", "named_curve"));

    (void)state;
    assert_non_null(check_one(c.x509));
    message[0] = 12; /* ServerKeyExchange */
    assert_null(check());
}

/* Of a request only the length is limited, to what real servers send. */
static void a_request_for_a_client_certificate_is_bounded(void **state)
{
    (void)state;
    memset(message, 0, sizeof(message));
    message[0] = 13;
    length = CERTMSG_REQUEST_MAX;
    assert_null(check());
    length++;
    assert_contains(check(), "longer than 16 KiB");
    length = 1;
    assert_null(check());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates_of_every_common_kind_pass),
        cmocka_unit_test(a_curve_with_explicit_parameters_is_refused),
        cmocka_unit_test(a_compressed_point_on_a_slow_curve_is_refused),
        cmocka_unit_test(every_certificate_is_checked),
        cmocka_unit_test(the_number_of_certificates_is_bounded),
        cmocka_unit_test(what_is_not_der_is_refused),
        cmocka_unit_test(raw_public_keys_are_checked_as_those_of_certificates),
        cmocka_unit_test(a_certificate_is_no_raw_key_and_the_other_way_round),
        cmocka_unit_test(no_message_is_read_beyond_its_end),
        cmocka_unit_test(other_messages_pass),
        cmocka_unit_test(a_request_for_a_client_certificate_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
