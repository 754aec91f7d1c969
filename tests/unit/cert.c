/* pin/cert: what is said about a certificate. */
#include "pin/cert.h"

#include <string.h>

#include "certs.h"
#include "help.h"
#include "pin/pin.h"

static void the_digests_are_those_of_openssl(void **state)
{
    struct cert c = certs_leaf("DNS:a.example", NULL);
    struct cert_digests digests;
    char key_text[PIN_KEY_TEXT_SIZE], cert_text[PIN_CERT_TEXT_SIZE];

    (void)state;
    assert_true(cert_compute_digests(c.x509, &digests));
    pin_format_key(digests.key, key_text);
    pin_format_cert(digests.cert, cert_text);
    assert_string_equal(key_text, certs_key_pin(&c));
    assert_string_equal(cert_text, certs_cert_pin(&c));
}

/*
 * Kept with the certificate they are the same, for whoever holds it, however often it is asked for.
 */
static void remembered_digests_are_the_same(void **state)
{
    struct cert c = certs_leaf("DNS:a.example", NULL), other = certs_leaf("DNS:a.example", NULL);
    struct cert_digests before, after;
    uint8_t key[CERT_DIGEST_SIZE];
    X509 *held = cert_hold(c.x509);
    int i;

    (void)state;
    assert_true(cert_compute_digests(c.x509, &before));
    for (i = 0; i < 2; i++) {
        cert_remember(c.x509);
        assert_true(cert_compute_digests(held, &after));
        assert_memory_equal(&before, &after, sizeof(before));
        assert_true(cert_key_digest(held, key));
        assert_memory_equal(before.key, key, sizeof(key));
    }
    cert_release(held);
    assert_true(cert_compute_digests(other.x509, &after));
    assert_memory_not_equal(before.key, after.key, CERT_DIGEST_SIZE);
    assert_memory_not_equal(before.cert, after.cert, CERT_DIGEST_SIZE);
    assert_null(cert_hold(NULL));
    cert_release(NULL);
}

static void names_dates_and_keys_are_described(void **state)
{
    struct cert ca = certs_ca("Example CA");
    struct cert c = certs_make(&(struct cert_order){.cn = "b\xc3\xbc"
                                                          "cher",
                                                    .san = "DNS:a.example,IP:192.0.2.1,"
                                                           "IP:2001:db8::1,email:x@a.example,"
                                                           "URI:spiffe://a.example/x,"
                                                           "DNS:*.b.example",
                                                    .from = -2,
                                                    .to = 3,
                                                    .issuer = &ca});
    struct cert_info info;

    (void)state;
    assert_true(cert_describe(c.x509, &info));
    assert_string_equal(info.subject, "CN=b\xc3\xbc"
                                      "cher");
    assert_string_equal(info.issuer, "CN=Example CA");
    assert_string_equal(info.names,
                        "a.example, 192.0.2.1, 2001:db8::1, spiffe://a.example/x, *.b.example");
    assert_string_equal(info.key_type, "EC P-256");
    assert_int_equal(info.not_before, CERTS_NOW - 2 * 86400);
    assert_int_equal(info.not_after, CERTS_NOW + 3 * 86400);
    assert_false(info.is_ca);
    cert_info_free(&info);
    assert_null(info.subject);
    cert_info_free(&info);

    assert_true(cert_describe(ca.x509, &info));
    assert_true(info.is_ca);
    assert_string_equal(info.names, "");
    cert_info_free(&info);

    c = certs_make(&(struct cert_order){.key = certs_rsa_key(1024)});
    assert_true(cert_describe(c.x509, &info));
    assert_string_equal(info.key_type, "RSA 1024");
    assert_string_equal(info.subject, "");
    cert_info_free(&info);
}

/* "bank.example" and NUL and ".evil.example" must not be shown as bank.example. */
static void a_nul_byte_hides_nothing(void **state)
{
    static const char name[] = "bank.example\0.evil.example";
    struct cert c = certs_make(&(struct cert_order){
        .cn = name, .cn_len = sizeof(name) - 1, .dns_nul = name, .dns_nul_len = sizeof(name) - 1});
    struct cert_info info;

    (void)state;
    assert_true(cert_describe(c.x509, &info));
    assert_contains(info.names, "evil");
    assert_contains(info.subject, "evil");
    cert_info_free(&info);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_digests_are_those_of_openssl),
        cmocka_unit_test(remembered_digests_are_the_same),
        cmocka_unit_test(names_dates_and_keys_are_described),
        cmocka_unit_test(a_nul_byte_hides_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
