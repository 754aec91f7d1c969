/* learned/learnedkey: a learned key and its line. What is not exactly right is refused. */
#include "learned/learnedkey.h"

#include <stdlib.h>
#include <string.h>

#include "help.h"
#include "keys.h"

/* Reads a line that must have a key. */
static struct learned_key parse(const char *line)
{
    struct learned_key key;
    bool is_key = false;
    const char *why = learnedkey_parse(line, &key, &is_key);

    if (why)
        fail_msg("'%s': %s", line, why);
    assert_true(is_key);
    return key;
}

static void fields_are_read_as_they_are_written(void **state)
{
    struct learned_key key = parse("A.Test A.test:443 " A " 2026-01-02");

    (void)state;
    assert_string_equal(key.section, "A.Test");
    assert_string_equal(key.hostport, "A.test:443");
    assert_string_equal(pin_of(&key), A);
    assert_int_equal(key.first_seen, INT64_C(20455) * DAY);
    assert_int_equal(key.until, 0);
    assert_int_equal(key.from, LEARNED_TOFU);
    assert_false(key.refused);
    assert_false(key.via.known);
    key = parse("b b.test:1 " B " 1970-01-01 refused until=1970-01-02 from=tofu");
    assert_int_equal(key.first_seen, 0);
    assert_int_equal(key.until, DAY);
    assert_int_equal(key.from, LEARNED_TOFU);
    assert_true(key.refused);
    key = parse("b b.test:65535 " C " 2026-01-02 until=9999-12-31 from=pins_url # refused");
    assert_string_equal(key.section, "b");
    assert_string_equal(pin_of(&key), C);
    assert_int_equal(key.until, INT64_C(253402214400));
    assert_int_equal(key.from, LEARNED_PINS_URL);
    assert_false(key.refused);
    key = parse("\ta\ta.test:443 \t" A "  2026-01-02\trefused  # why \t");
    assert_string_equal(key.hostport, "a.test:443");
    assert_true(key.refused);
    key = parse("b [::1]:443 " B " 2026-01-02 until=2027-01-01 from=pins_url\r");
    assert_string_equal(key.hostport, "[::1]:443");
    assert_int_equal(key.until, INT64_C(20819) * DAY);
}

static void blank_lines_and_comments_have_no_key(void **state)
{
    static const char *const lines[] = {"", " \t ", "\r", "# x", ("  # " A), "#"};
    struct learned_key key;
    bool is_key;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(lines); i++) {
        is_key = true;
        assert_null(learnedkey_parse(lines[i], &key, &is_key));
        assert_false(is_key);
    }
}

static void a_line_that_is_not_right_is_refused(void **state)
{
#define LINE "a h:1 " A " 2026-01-02"
#define URL LINE " from=pins_url"
    static const struct {
        const char *line, *part;
    } rows[] = {
        {"a", "host:port"},
        {"a b", "host:port"},
        {"a :443", "host:port"},
        {"a h: " A " 2026-01-02", "65535"},
        {"a h:0 " A " 2026-01-02", "65535"},
        {"a h:65536 " A " 2026-01-02", "65535"},
        {"a h:-1 " A " 2026-01-02", "65535"},
        {"a h:1x " A " 2026-01-02", "65535"},
        {"a h:1", "sha256//"},
        {"a h:1 2026-01-02", "sha256//"},
        {"a h:1 key:/etc/passwd 2026-01-02", "sha256//"},
        {"a h:1 issuer:" A " 2026-01-02", "sha256//"},
        {"a h:1 " A ";" B " 2026-01-02", "sha256//"},
        {"a h:1 " A "= 2026-01-02", "sha256//"},
        {"a h:1 " A "\vuntil=2027-01-01 2026-01-02", "sha256//"},
        {"a h:1 " A "\rname=x 2026-01-02", "sha256//"},
        {"a h:1 sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihh= 2026-01-02", "sha256"},
        {"a h:1 sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg 2026-01-02", "sha256"},
        {"a h:1 sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= 2026-01-02", "sha256"},
        {"a h:1 " A, "YYYY-MM-DD"},
        {"a h:1 " A " # 2026-01-02", "YYYY-MM-DD"},
        {"a h:1 " A " 2026-02-29", "YYYY-MM-DD"},
        {"a h:1 " A " 2026-1-2", "YYYY-MM-DD"},
        {"a h:1 " A " 1969-12-31", "YYYY-MM-DD"},
        {"a h:1 " A " 2026-01-02#", "YYYY-MM-DD"},
        {"a h:1 " A " until=2026-01-02", "YYYY-MM-DD"},
        {LINE " until=", "until="},
        {LINE " until=2026-02-30", "until="},
        {LINE " until=1970-01-01", "until="}, /* 0 would be no end at all */
        {LINE " from=", "from="},
        {LINE " from=TOFU", "from="},
        {LINE " from=dns", "from="},
        {LINE " refused=yes", "unknown word"},
        {LINE " Refused", "unknown word"},
        {LINE " \r # x", "unknown word"},
        {LINE " " B, "unknown word"},
        {LINE " refused refused", "twice"},
        {LINE " from=tofu from=tofu", "twice"},
        {LINE " until=2027-01-01 refused until=2027-01-01", "twice"},
        {LINE " from=pins_url refused", "never refused"},
        {LINE " refused from=pins_url", "never refused"},
        {URL " via=", "via="},
        {URL " via=key:/etc/passwd", "via="},
        {URL " via=cert:/etc/passwd", "via="},
        {URL " via=issuer:/etc/passwd", "via="},
        {URL " via=issuer-cert:/etc/passwd", "via="},
        {URL " via=" B ";" C, "via="},
        {URL " via=sha256//AAAA", "via="},
        {URL " via=cert:sha256:0011", "via="},
        {URL " via=" B " via=" C, "twice"},
        {LINE " via=" B, "from=pins_url"},
        {"0123456789012345678901234567890123456789012345678901234567890123 h:1 " A " 2026-01-02",
         "63 bytes"},
    };
    struct learned_key key;
    const char *why;
    bool is_key;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        why = learnedkey_parse(rows[i].line, &key, &is_key);
        if (!why)
            fail_msg("'%s' was read", rows[i].line);
        assert_contains(why, rows[i].part);
    }
#undef LINE
#undef URL
}

#define HEX "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void the_pin_behind_a_key_is_read(void **state)
{
    static const struct {
        const char *line;
        bool known;
        enum pin_role role;
        enum pin_kind kind;
    } rows[] = {
        {"a h:1 " A " 2026-01-02 from=pins_url until=2027-01-01 via=" B, true, PIN_SERVER, PIN_KEY},
        {"a h:1 " B " 2026-01-02 from=pins_url via=issuer:" C, true, PIN_ISSUER, PIN_KEY},
        {"a h:1 " C " 2026-01-02 from=pins_url via=cert:sha256:" HEX, true, PIN_SERVER, PIN_CERT},
        {"a h:2 " C " 2026-01-02 from=pins_url via=issuer-cert:sha256:" HEX, true, PIN_ISSUER,
         PIN_CERT},
        {"a h:3 " C " 2026-01-02 from=pins_url", false, PIN_SERVER, PIN_KEY},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        struct learned_key key = parse(rows[i].line);
        char *line = learnedkey_format(&key);

        assert_int_equal(key.via.known, rows[i].known);
        if (key.via.known) {
            assert_int_equal(key.via.role, rows[i].role);
            assert_int_equal(key.via.kind, rows[i].kind);
        }
        assert_string_equal(line, rows[i].line);
        free(line);
    }
    assert_memory_equal(parse(rows[0].line).via.digest, digest(B), CERT_DIGEST_SIZE);
    assert_int_equal(parse(rows[2].line).via.digest[1], 0x11);
}

static void a_name_that_does_not_fit_makes_no_key(void **state)
{
    char longest[LEARNED_HOSTPORT_SIZE + 1];
    struct learned_key key;

    (void)state;
    memset(longest, 'x', sizeof(longest));
    longest[LEARNED_SECTION_SIZE] = '\0';
    assert_false(learnedkey_init(&key, longest, "h:1", digest(A), NOW));
    assert_true(learnedkey_init(&key, longest + 1, "h:1", digest(A), NOW));
    assert_string_equal(key.section, longest + 1);
    longest[LEARNED_SECTION_SIZE] = 'x';
    longest[LEARNED_HOSTPORT_SIZE] = '\0';
    assert_false(learnedkey_init(&key, "a", longest, digest(A), NOW));
    assert_true(learnedkey_init(&key, "a", longest + 1, digest(A), NOW));
    assert_string_equal(key.hostport, longest + 1);
    assert_int_equal(key.first_seen, learnedkey_day(NOW));
    assert_int_equal(learnedkey_day(NOW), NOW - 3723);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_read_as_they_are_written),
        cmocka_unit_test(blank_lines_and_comments_have_no_key),
        cmocka_unit_test(a_line_that_is_not_right_is_refused),
        cmocka_unit_test(the_pin_behind_a_key_is_read),
        cmocka_unit_test(a_name_that_does_not_fit_makes_no_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
