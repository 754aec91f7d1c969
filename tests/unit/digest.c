/* pin/digest: the written forms of a digest. Each is read in one spelling, and exactly. */
#include "pin/digest.h"

#include <stdio.h>
#include <string.h>

#include "help.h"

#define BASE64 "YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg="
#define HEX "60b87575447dcba2a36b7d11ac09fb24a9db406fee12d2cc90180517616e8a18"

static const uint8_t bytes[CERT_DIGEST_SIZE] = {
    0x60, 0xb8, 0x75, 0x75, 0x44, 0x7d, 0xcb, 0xa2, 0xa3, 0x6b, 0x7d, 0x11, 0xac, 0x09, 0xfb, 0x24,
    0xa9, 0xdb, 0x40, 0x6f, 0xee, 0x12, 0xd2, 0xcc, 0x90, 0x18, 0x05, 0x17, 0x61, 0x6e, 0x8a, 0x18};

static void both_forms_are_written_and_read(void **state)
{
    char base64[DIGEST_BASE64_LEN + 1], hex[DIGEST_HEX_LEN + 1];
    uint8_t digest[CERT_DIGEST_SIZE];

    (void)state;
    digest_write_base64(bytes, base64);
    digest_write_hex(bytes, hex);
    assert_string_equal(base64, BASE64);
    assert_string_equal(hex, HEX);
    assert_null(digest_read_base64(base64, strlen(base64), digest));
    assert_memory_equal(digest, bytes, sizeof(bytes));
    memset(digest, 0, sizeof(digest));
    assert_null(digest_read_hex(hex, strlen(hex), digest));
    assert_memory_equal(digest, bytes, sizeof(bytes));
}

/* Every other character in every place: another digest, or none. */
static void one_digest_has_one_base64(void **state)
{
    uint8_t digest[CERT_DIGEST_SIZE];
    char text[] = BASE64;
    size_t i;
    int c;

    (void)state;
    for (i = 0; i < DIGEST_BASE64_LEN; i++)
        for (c = 0; c < 256; c++) {
            if ((char)c == BASE64[i])
                continue;
            text[i] = (char)c;
            memcpy(digest, bytes, sizeof(digest));
            if (digest_read_base64(text, DIGEST_BASE64_LEN, digest))
                assert_memory_equal(digest, bytes, sizeof(bytes)); /* left alone */
            else
                assert_memory_not_equal(digest, bytes, sizeof(bytes));
            text[i] = BASE64[i];
        }
    assert_non_null(digest_read_base64(BASE64, DIGEST_BASE64_LEN - 1, digest));
    assert_non_null(digest_read_base64(BASE64 "=", DIGEST_BASE64_LEN + 1, digest));
}

static void hex_is_of_either_case_with_all_colons_or_none(void **state)
{
    static const char *const wrong[] = {
        "",
        "60",
        "60b87575447dcba2a36b7d11ac09fb24a9db406fee12d2cc90180517616e8a1",
        "60b87575447dcba2a36b7d11ac09fb24a9db406fee12d2cc90180517616e8a180",
        "g0b87575447dcba2a36b7d11ac09fb24a9db406fee12d2cc90180517616e8a18",
        "0x60b87575447dcba2a36b7d11ac09fb24a9db406fee12d2cc90180517616e8a",
        " 0b87575447dcba2a36b7d11ac09fb24a9db406fee12d2cc90180517616e8a18",
        "60:b87575447dcba2a36b7d11ac09fb24a9db406fee12d2cc90180517616e8a1",
        "60:b8:75:75:44:7d:cb:a2:a3:6b:7d:11:ac:09:fb:24:a9:db:40:6f:ee:12:d2:cc:90:18:05:17:61:6e:"
        "8a-18",
        ":60:b8:75:75:44:7d:cb:a2:a3:6b:7d:11:ac:09:fb:24:a9:db:40:6f:ee:12:d2:cc:90:18:05:17:61:6e"
        ":8a18",
    };
    static const char *const right[] = {
        "60B87575447DCBA2A36B7D11AC09FB24A9DB406FEE12D2CC90180517616E8A18",
        "60:b8:75:75:44:7d:cb:a2:a3:6b:7d:11:ac:09:fb:24:a9:db:40:6F:EE:12:D2:CC:90:18:05:17:61:6E:"
        "8A:18",
    };
    uint8_t digest[CERT_DIGEST_SIZE] = {0};
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(wrong); i++)
        if (!digest_read_hex(wrong[i], strlen(wrong[i]), digest))
            fail_msg("%s", wrong[i]);
    for (i = 0; i < CERT_DIGEST_SIZE; i++)
        assert_int_equal(digest[i], 0); /* left alone */
    for (i = 0; i < COUNT(right); i++) {
        memset(digest, 0, sizeof(digest));
        assert_null(digest_read_hex(right[i], strlen(right[i]), digest));
        assert_memory_equal(digest, bytes, sizeof(bytes));
    }
}

/* The text of a digest is often part of a longer one. */
static void no_more_than_n_bytes_are_read(void **state)
{
    uint8_t digest[CERT_DIGEST_SIZE];

    (void)state;
    assert_null(digest_read_base64(BASE64 ";more", DIGEST_BASE64_LEN, digest));
    assert_memory_equal(digest, bytes, sizeof(bytes));
    assert_null(digest_read_hex(HEX "00", DIGEST_HEX_LEN, digest));
    assert_memory_equal(digest, bytes, sizeof(bytes));
}

static void a_digest_of_zeros_is_refused(void **state)
{
    static const char base64[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    static const char hex[] = "0000000000000000000000000000000000000000000000000000000000000000";
    uint8_t digest[CERT_DIGEST_SIZE];

    (void)state;
    assert_contains(digest_read_base64(base64, strlen(base64), digest), "all-zero");
    assert_contains(digest_read_hex(hex, strlen(hex), digest), "all-zero");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_forms_are_written_and_read),
        cmocka_unit_test(one_digest_has_one_base64),
        cmocka_unit_test(hex_is_of_either_case_with_all_colons_or_none),
        cmocka_unit_test(no_more_than_n_bytes_are_read),
        cmocka_unit_test(a_digest_of_zeros_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
