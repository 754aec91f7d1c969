/* pin/pin: pins as texts, and how they are compared. */
#include "pin/pin.h"

#include <string.h>

#include "certs.h"
#include "help.h"

static const uint8_t bytes[CERT_DIGEST_SIZE] = {
    0x60, 0xb8, 0x75, 0x75, 0x44, 0x7d, 0xcb, 0xa2, 0xa3, 0x6b, 0x7d, 0x11, 0xac, 0x09, 0xfb, 0x24,
    0xa9, 0xdb, 0x40, 0x6f, 0xee, 0x12, 0xd2, 0xcc, 0x90, 0x18, 0x05, 0x17, 0x61, 0x6e, 0x8a, 0x18};

static const struct {
    enum pin_role role;
    enum pin_kind kind;
    const char *text;
} forms[] = {
    {PIN_SERVER, PIN_KEY, "sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg="},
    {PIN_SERVER, PIN_CERT,
     "cert:sha256:60b87575447dcba2a36b7d11ac09fb24a9db406fee12d2cc90180517616e8a18"},
    {PIN_ISSUER, PIN_KEY, "issuer:sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg="},
    {PIN_ISSUER, PIN_CERT,
     "issuer-cert:sha256:60b87575447dcba2a36b7d11ac09fb24a9db406fee12d2cc90180517616e8a18"},
};

static void each_form_is_read_as_it_is_written(void **state)
{
    char text[PIN_TEXT_SIZE];
    struct pin pin;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(forms); i++) {
        pin_format(forms[i].role, forms[i].kind, bytes, text);
        assert_string_equal(text, forms[i].text);
        assert_null(pin_read(text, &pin));
        assert_int_equal(pin.role, forms[i].role);
        assert_int_equal(pin.kind, forms[i].kind);
        assert_memory_equal(pin.digest, bytes, sizeof(bytes));
    }
}

static void what_is_not_exactly_a_digest_is_no_pin(void **state)
{
    static const char *const rows[] = {
        "",
        "sha256//",
        "SHA256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=",
        " sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=",
        "sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg= ",
        "sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=;",
        "sha256//60b87575447dcba2a36b7d11ac09fb24a9db406fee12d2cc90180517616e8a18",
        "cert:sha256:YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=",
        "issuer:cert:sha256:60b87575447dcba2a36b7d11ac09fb24a9db406fee12d2cc90180517616e8a18",
        "issuer-sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=",
        "cert:server.pem",
        "key:server.pem",
    };
    struct pin pin;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++)
        if (!pin_read(rows[i], &pin))
            fail_msg("%s", rows[i]);
}

/* Names and dates do not matter; role, kind and every bit of the digest do. */
static void equal_pins_have_one_role_one_kind_and_one_digest(void **state)
{
    struct pin a, b;
    size_t i, j;

    (void)state;
    for (i = 0; i < COUNT(forms); i++)
        for (j = 0; j < COUNT(forms); j++) {
            assert_null(pin_read(forms[i].text, &a));
            assert_null(pin_read(forms[j].text, &b));
            assert_int_equal(pin_equal(&a, &b), i == j);
        }
    for (i = 0; i < (size_t)CERT_DIGEST_SIZE * 8; i++) {
        b = a;
        b.name = "another";
        b.until = 1;
        assert_true(pin_equal(&a, &b));
        b.digest[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_false(pin_equal(&a, &b));
    }
}

/* A certificate whose two digests are different. */
static const struct cert_digests certificate = {.key = {1, 2, 3}, .cert = {4, 5, 6}};

static void a_pin_matches_in_its_role_and_kind_only(void **state)
{
    const uint8_t *const digests[] = {[PIN_KEY] = certificate.key, [PIN_CERT] = certificate.cert};
    size_t role, kind, of, in;

    (void)state;
    for (role = PIN_SERVER; role <= PIN_ISSUER; role++)
        for (kind = PIN_KEY; kind <= PIN_CERT; kind++)
            for (of = PIN_KEY; of <= PIN_CERT; of++)
                for (in = PIN_SERVER; in <= PIN_ISSUER; in++) {
                    const struct pin pin = pin_make((enum pin_role)role, (enum pin_kind)kind,
                                                    digests[of]);

                    /* the right digest in the wrong role, or of the wrong thing, is no match */
                    assert_int_equal(pin_matches(&pin, (enum pin_role)in, &certificate),
                                     role == in && kind == of);
                }
}

static void a_pin_with_one_bit_flipped_does_not_match(void **state)
{
    size_t i, kind;

    (void)state;
    for (kind = PIN_KEY; kind <= PIN_CERT; kind++) {
        const uint8_t *digest = kind == PIN_KEY ? certificate.key : certificate.cert;
        struct pin pin = pin_make(PIN_SERVER, (enum pin_kind)kind, digest);

        for (i = 0; i < (size_t)CERT_DIGEST_SIZE * 8; i++) {
            pin.digest[i / 8] ^= (uint8_t)(1 << i % 8);
            assert_false(pin_matches(&pin, PIN_SERVER, &certificate));
            assert_false(pin_is_of_key(&pin, certificate.key));
            pin.digest[i / 8] ^= (uint8_t)(1 << i % 8);
        }
        assert_true(pin_matches(&pin, PIN_SERVER, &certificate));
        assert_int_equal(pin_is_of_key(&pin, certificate.key), kind == PIN_KEY);
    }
}

/* Each form of a text, against the digests that OpenSSL computes. */
static void a_certificate_matches_the_texts_of_its_pins_only(void **state)
{
    const struct cert mine = certs_leaf("DNS:a.example", NULL);
    const struct cert other = certs_leaf("DNS:a.example", NULL);
    struct pin key, cert;
    size_t i;

    (void)state;
    assert_null(pin_read(certs_key_pin(&mine), &key));
    assert_null(pin_read(certs_cert_pin(&mine), &cert));
    for (i = 0; i < 2; i++) {
        key.role = cert.role = i == 0 ? PIN_SERVER : PIN_ISSUER;
        assert_true(pin_matches_cert(&key, key.role, mine.x509));
        assert_true(pin_matches_cert(&cert, key.role, mine.x509));
        assert_false(pin_matches_cert(&key, i == 0 ? PIN_ISSUER : PIN_SERVER, mine.x509));
        assert_false(pin_matches_cert(&cert, i == 0 ? PIN_ISSUER : PIN_SERVER, mine.x509));
        assert_false(pin_matches_cert(&key, key.role, other.x509));
        assert_false(pin_matches_cert(&cert, key.role, other.x509));
    }
}

/* A deny list asks whose key it is in no role. */
static void a_pin_is_of_a_key_in_either_role(void **state)
{
    struct pin pin = pin_make(PIN_SERVER, PIN_KEY, certificate.key);

    (void)state;
    assert_true(pin_is_of_key(&pin, certificate.key));
    pin.role = PIN_ISSUER;
    assert_true(pin_is_of_key(&pin, certificate.key));
    assert_false(pin_is_of_key(&pin, certificate.cert));
}

static void a_match_is_live_until_the_second_that_the_pin_ends(void **state)
{
    struct pin endless = pin_make(PIN_SERVER, PIN_KEY, certificate.key), ending = endless;
    struct pin_match match = {0};

    (void)state;
    ending.until = 1000;
    pin_match_add(&match, &ending, 1000);
    assert_ptr_equal(match.expired, &ending);
    assert_null(match.live);
    pin_match_add(&match, &endless, 1000);
    assert_ptr_equal(match.expired, &ending);
    assert_ptr_equal(match.live, &endless);
    match = (struct pin_match){0};
    pin_match_add(&match, &ending, 999);
    assert_ptr_equal(match.live, &ending);
    assert_null(match.expired);
}

static void a_misplaced_pin_is_shown_how_a_ca_is_pinned(void **state)
{
    struct pin key = pin_make(PIN_SERVER, PIN_KEY, bytes), cert = key;
    char text[256];

    (void)state;
    key.text = forms[0].text;
    cert.kind = PIN_CERT;
    cert.text = forms[1].text;
    cert.name = "root";
    pin_describe_misplaced(&key, NULL, text, sizeof(text));
    assert_contains(text, "the key of a CA, not of the server");
    assert_contains(text, forms[2].text);
    pin_describe_misplaced(&cert, "CN=Example CA", text, sizeof(text));
    assert_contains(text, "pin root: ");
    assert_contains(text, "the certificate of the CA CN=Example CA: ");
    assert_contains(text, forms[3].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_form_is_read_as_it_is_written),
        cmocka_unit_test(what_is_not_exactly_a_digest_is_no_pin),
        cmocka_unit_test(equal_pins_have_one_role_one_kind_and_one_digest),
        cmocka_unit_test(a_pin_matches_in_its_role_and_kind_only),
        cmocka_unit_test(a_pin_with_one_bit_flipped_does_not_match),
        cmocka_unit_test(a_certificate_matches_the_texts_of_its_pins_only),
        cmocka_unit_test(a_pin_is_of_a_key_in_either_role),
        cmocka_unit_test(a_match_is_live_until_the_second_that_the_pin_ends),
        cmocka_unit_test(a_misplaced_pin_is_shown_how_a_ca_is_pinned),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
