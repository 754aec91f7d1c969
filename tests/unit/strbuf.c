/* base/strbuf: growable strings, and the text of peers made harmless. */
#include "base/strbuf.h"

#include <stdlib.h>
#include <string.h>

#include "help.h"

static char *safe(const char *bytes, size_t n, size_t max)
{
    struct strbuf b = {0};
    char *copy = malloc(n ? n : 1); /* of the exact size: one byte too far is seen */

    assert_non_null(copy);
    memcpy(copy, bytes, n);
    strbuf_add_safe(&b, copy, n, max);
    free(copy);
    return strbuf_detach(&b);
}

#define ROW(bytes, want)                                                                           \
    {                                                                                              \
        bytes, sizeof(bytes) - 1, want                                                             \
    }

static void text_of_peers_is_escaped(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *want;
    } rows[] = {
        ROW("", ""),
        ROW("plain text, = \"quotes\"", "plain text, = \"quotes\""),
        ROW("b\xc3\xbc"
            "cher \xe2\x82\xac \xf0\x9f\x98\x80",
            "b\xc3\xbc"
            "cher \xe2\x82\xac "
            "\xf0\x9f\x98\x80"),
        ROW("a\nb", "a\\nb"),
        ROW("a\r\tb", "a\\x0d\\x09b"),
        ROW("a\0b", "a\\x00b"),
        ROW("\x1b[31m", "\\x1b[31m"),
        ROW("\x7f", "\\x7f"),
        ROW("a\\nb", "a\\\\nb"), /* what was a backslash can be told from what was escaped */
        ROW("\\", "\\\\"),
        /* C1 controls: 0x9b starts an escape sequence in some terminals */
        ROW("\xc2\x80\xc2\x9b\xc2\x9f", "\\u{80}\\u{9b}\\u{9f}"),
        ROW("\xc2\xa0", "\xc2\xa0"),
        /* invisible, reordering */
        ROW("\xc2\xad", "\\u{ad}"),
        ROW("\xe2\x80\x8b", "\\u{200b}"),
        ROW("\xe2\x80\x8f", "\\u{200f}"),
        ROW("\xe2\x80\xa8", "\\u{2028}"),
        ROW("\xe2\x80\xae"
            "moc",
            "\\u{202e}moc"),
        ROW("\xe2\x81\xa6", "\\u{2066}"),
        ROW("\xe2\x81\xa9", "\\u{2069}"),
        ROW("\xd8\x9c", "\\u{61c}"),
        ROW("\xef\xbb\xbf", "\\u{feff}"),
        ROW("\xef\xbf\xbe\xef\xbf\xbf", "\\u{fffe}\\u{ffff}"),
        ROW("\xef\xbf\xbd", "\xef\xbf\xbd"),
        ROW("\xf3\xa0\x80\x81", "\\u{e0001}"),
        ROW("\xf4\x8f\xbf\xbf", "\\u{10ffff}"),
        /* not UTF-8 */
        ROW("\x80", "\\x80"),
        ROW("\xbf\xbf", "\\xbf\\xbf"),
        ROW("\xc3", "\\xc3"),
        ROW("\xc3(", "\\xc3("),
        ROW("\xe2\x82", "\\xe2\\x82"),
        ROW("\xf0\x9f\x98", "\\xf0\\x9f\\x98"),
        ROW("\xe2\x82z", "\\xe2\\x82z"),
        ROW("\xfe\xff", "\\xfe\\xff"),
        ROW("\xf8\x88\x80\x80\x80", "\\xf8\\x88\\x80\\x80\\x80"),
        /* overlong forms of '/', NUL and others */
        ROW("\xc0\xaf", "\\xc0\\xaf"),
        ROW("\xc1\xbf", "\\xc1\\xbf"),
        ROW("\xe0\x80\xaf", "\\xe0\\x80\\xaf"),
        ROW("\xe0\x9f\xbf", "\\xe0\\x9f\\xbf"),
        ROW("\xf0\x80\x80\xaf", "\\xf0\\x80\\x80\\xaf"),
        ROW("\xf0\x8f\xbf\xbf", "\\xf0\\x8f\\xbf\\xbf"),
        /* surrogates, beyond Unicode */
        ROW("\xed\xa0\x80", "\\xed\\xa0\\x80"),
        ROW("\xed\xbf\xbf", "\\xed\\xbf\\xbf"),
        ROW("\xed\x9f\xbf", "\xed\x9f\xbf"),
        ROW("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"),
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        char *text = safe(rows[i].bytes, rows[i].n, 1000);

        assert_string_equal(text, rows[i].want);
        free(text);
    }
}

static void a_cut_is_marked_and_never_inside_a_character(void **state)
{
    char *text;

    (void)state;
    text = safe("abcdef", 6, 6);
    assert_string_equal(text, "abcdef");
    free(text);
    text = safe("abcdef", 6, 5);
    assert_string_equal(text, "abcde...");
    free(text);
    text = safe("abcdef", 6, 0);
    assert_string_equal(text, "...");
    free(text);
    text = safe("ab\xe2\x82\xac"
                "cd",
                7, 3);
    assert_true(utf8_valid(text, strlen(text)));
    assert_string_equal(text + strlen(text) - 3, "...");
    free(text);
}

/* Whatever the bytes: what comes out is valid UTF-8 without a control. */
static void no_bytes_get_through_as_controls(void **state)
{
    uint32_t seed = 1;
    int round, i;

    (void)state;
    for (round = 0; round < 3000; round++) {
        unsigned char bytes[24];
        char *text;
        const char *p;

        for (i = 0; i < (int)sizeof(bytes); i++) {
            bytes[i] = (unsigned char)random_next(&seed);
            if (random_next(&seed) % 3)
                bytes[i] = (unsigned char)(0x80 | bytes[i]); /* more of what starts characters */
        }
        text = safe((const char *)bytes, sizeof(bytes), sizeof(bytes));
        assert_true(utf8_valid(text, strlen(text)));
        for (p = text; *p; p++) {
            assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
            assert_false((unsigned char)*p == 0xc2 && (unsigned char)p[1] < 0xa0);
        }
        free(text);
    }
}

static void utf8_is_checked_to_the_last_byte(void **state)
{
    (void)state;
    assert_true(utf8_valid("", 0));
    assert_true(utf8_valid("\xe2\x82\xac", 3));
    assert_false(utf8_valid("\xe2\x82\xac", 2));
    assert_false(utf8_valid("a\xff", 2));
    assert_true(utf8_valid("a\0b", 3));
}

static void strings_grow_and_stay_terminated(void **state)
{
    struct strbuf b = {0};
    char *text;
    int i;

    (void)state;
    assert_string_equal(strbuf_text(&b), "");
    for (i = 0; i < 1000; i++) {
        strbuf_addf(&b, "%d,", i);
        assert_int_equal(strlen(b.data), b.len);
    }
    assert_int_equal(b.len, 10 * 2 + 90 * 3 + 900 * 4);
    strbuf_clear(&b);
    assert_string_equal(strbuf_text(&b), "");
    strbuf_add(&b, "x");
    strbuf_add_bytes(&b, "a\0b", 3);
    assert_int_equal(b.len, 4);
    assert_memory_equal(b.data, "xa\0b", 5);
    text = strbuf_detach(&b);
    assert_string_equal(strbuf_text(&b), "");
    free(text);
    text = strbuf_detach(&b);
    assert_string_equal(text, "");
    free(text);
    strbuf_free(&b);
    strbuf_free(&b);
}

static void a_shell_reads_a_word_back(void **state)
{
    static const struct {
        const char *word, *want;
    } rows[] = {
        {"/etc/pinproxy/a.conf", "/etc/pinproxy/a.conf"},
        {"sha256//a+b/c=", "sha256//a+b/c="},
        {"", "''"},
        {"two words", "'two words'"},
        {"a;reboot", "'a;reboot'"},
        {"$(id)`id`\"", "'$(id)`id`\"'"},
        {"~root", "'~root'"},
        {"*", "'*'"},
        {"#a", "'#a'"},
        {"it's", "'it'\"'\"'s'"},
        {"a\\b\n", "'a\\b\n'"},
        {"b\xc3\xbc", "'b\xc3\xbc'"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        struct strbuf b = {0};

        strbuf_add_shell(&b, rows[i].word);
        assert_string_equal(strbuf_text(&b), rows[i].want);
        strbuf_free(&b);
    }
}

/* The rows are those of RFC 4648 section 10. */
static void base64_has_its_padding(void **state)
{
    static const char *const rows[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xff\xfe", "//4="},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        struct strbuf b = {0};

        strbuf_add_base64(&b, rows[i][0], strlen(rows[i][0]));
        assert_string_equal(strbuf_text(&b), rows[i][1]);
        strbuf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shell_reads_a_word_back),
        cmocka_unit_test(base64_has_its_padding),
        cmocka_unit_test(text_of_peers_is_escaped),
        cmocka_unit_test(a_cut_is_marked_and_never_inside_a_character),
        cmocka_unit_test(no_bytes_get_through_as_controls),
        cmocka_unit_test(utf8_is_checked_to_the_last_byte),
        cmocka_unit_test(strings_grow_and_stay_terminated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
