/* pin/pin: pins as texts, and how they are compared. */
#include "pin/pin.h"

#include <string.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_form_is_read_as_it_is_written),
        cmocka_unit_test(what_is_not_exactly_a_digest_is_no_pin),
        cmocka_unit_test(equal_pins_have_one_role_one_kind_and_one_digest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
