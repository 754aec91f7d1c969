/* base/log: nothing that a peer says may look like something that we say. */
#include "base/log.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "help.h"

static const char *const hostile[] = {
    "plain",
    "two words",
    "x\" level=info event=forged y=\"",
    "a\nlevel=error event=forged",
    "a\r\n{\"event\":\"forged\"}",
    "back\\slash",
    "ends in \\",
    "\\\"",
    "\\\\\" z=1",
    "=",
    "a=b",
    "\"",
    "\x1b[2J\x1b]0;title\x07",
    "\xff\xfe not utf-8",
    "\xe2\x80\xae"
    "reversed",
    "\xc2\x9b"
    "31m",
    "b\xc3\xbc"
    "cher",
    "\t",
};

static char *one_line(enum log_format format, const char *value)
{
    struct log_line l;
    char *text;

    log_setup(LOG_LEVEL_INFO, format);
    capture_start();
    log_begin(&l, LOG_LEVEL_INFO, "tunnel_open", "api.example.com");
    log_add(&l, "client", value);
    log_add_number(&l, "ms", -5);
    log_add(&l, "upstream", "192.0.2.1:443");
    log_end(&l);
    text = capture_end();
    return text;
}

/* The escaped form, by which the value can be told. */
static char *escaped(const char *value)
{
    struct strbuf b = {0};

    strbuf_add_safe(&b, value, strlen(value), 4096);
    return strbuf_detach(&b);
}

/* Takes "name=value" or name="value" off the text. False: that is no field. */
static bool next_field(const char **text, char *name, struct strbuf *value)
{
    const char *p = *text;
    size_t n = strspn(p, "abcdefghijklmnopqrstuvwxyz_");

    strbuf_clear(value);
    if (n == 0 || p[n] != '=')
        return false;
    memcpy(name, p, n);
    name[n] = '\0';
    p += n + 1;
    if (*p == '"') {
        for (p++; *p && *p != '"'; p++) {
            /* a quote is escaped, and a backslash only stands before what it escapes */
            if (*p == '\\' && p[1] == '"')
                p++;
            else if (*p == '\\' && p[1] == '\\')
                strbuf_add_bytes(value, p++, 1);
            strbuf_add_bytes(value, p, 1);
        }
        if (*p++ != '"')
            return false;
    } else {
        for (; *p && *p != ' '; p++) {
            if (*p == '"' || *p == '=' || *p == '\\')
                return false;
            strbuf_add_bytes(value, p, 1);
        }
    }
    if (*p == ' ')
        p++;
    else if (*p)
        return false;
    *text = p;
    return true;
}

static void a_value_cannot_forge_a_logfmt_field(void **state)
{
    static const char *const names[] = {"time",   "level", "event",   "section",
                                        "client", "ms",    "upstream"};
    size_t i, field;

    (void)state;
    for (i = 0; i < COUNT(hostile); i++) {
        char *line = one_line(LOG_FORMAT_TEXT, hostile[i]), *want = escaped(hostile[i]);
        char name[64], *newline = strchr(line, '\n');
        struct strbuf value = {0};
        const char *rest = line;

        assert_non_null(newline);
        assert_int_equal(newline[1], 0);
        *newline = '\0';
        for (field = 0; *rest; field++) {
            if (field == COUNT(names) || !next_field(&rest, name, &value))
                fail_msg("not logfmt: %s", line);
            assert_string_equal(name, names[field]);
            if (field == 2)
                assert_string_equal(strbuf_text(&value), "tunnel_open");
            if (field == 4)
                assert_string_equal(strbuf_text(&value), want);
            if (field == 5)
                assert_string_equal(strbuf_text(&value), "-5");
        }
        assert_int_equal(field, COUNT(names));
        strbuf_free(&value);
        free(want);
        free(line);
    }
}

static void a_value_cannot_break_a_json_line(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(hostile); i++) {
        char *line = one_line(LOG_FORMAT_JSON, hostile[i]), *want = escaped(hostile[i]);
        json_t *o = json_loads(line, JSON_REJECT_DUPLICATES, NULL);

        if (!o)
            fail_msg("not JSON: %s", line);
        assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
        assert_int_equal(json_object_size(o), 7);
        assert_string_equal(json_string_value(json_object_get(o, "event")), "tunnel_open");
        assert_string_equal(json_string_value(json_object_get(o, "section")), "api.example.com");
        assert_string_equal(json_string_value(json_object_get(o, "client")), want);
        assert_int_equal(json_integer_value(json_object_get(o, "ms")), -5);
        json_decref(o);
        free(want);
        free(line);
    }
}

static void a_long_value_is_cut_with_a_mark(void **state)
{
    char value[5000], *line;

    (void)state;
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    line = one_line(LOG_FORMAT_TEXT, value);
    assert_true(strlen(line) < 1400);
    assert_contains(line, "x... ms=-5 ");
    free(line);
}

static void more_fields_than_fit_do_no_harm(void **state)
{
    struct log_line l;
    char *text;
    int i;

    (void)state;
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    capture_start();
    log_begin(&l, LOG_LEVEL_INFO, "start", NULL);
    for (i = 0; i < 3 * LOG_FIELDS_MAX; i++)
        log_addf(&l, "n", "%d", i);
    log_add(&l, "none", NULL);
    log_add(&l, "none", "");
    log_end(&l);
    text = capture_end();
    assert_contains(text, " n=15\n");
    assert_null(strstr(text, "none"));
    free(text);
}

static void lines_below_the_level_are_not_written(void **state)
{
    int level;

    (void)state;
    for (level = LOG_LEVEL_SILENT; level <= LOG_LEVEL_DEBUG; level++) {
        int line, count = 0;
        char *text, *p;

        log_setup((enum log_level)level, LOG_FORMAT_TEXT);
        capture_start();
        for (line = LOG_LEVEL_ERROR; line <= LOG_LEVEL_DEBUG; line++) {
            struct log_line l;

            log_begin(&l, (enum log_level)line, "event", "s");
            log_add(&l, "a", "b");
            log_addf(&l, "c", "%s", "d");
            log_add_number(&l, "e", 1);
            log_end(&l);
        }
        log_flush();
        text = capture_end();
        for (p = text; (p = strchr(p, '\n')); p++)
            count++;
        assert_int_equal(count, level);
        free(text);
    }
}

/* How many events a captured log stands for: its lines, and those that each says it repeats. */
static uint64_t events_in(const char *text, const char *part, int *lines)
{
    const char *p, *end;
    uint64_t events = 0;

    *lines = 0;
    for (p = text; *p; p = end + 1) {
        char line[4096];
        const char *repeated;

        end = strchr(p, '\n');
        assert_non_null(end);
        snprintf(line, sizeof(line), "%.*s", (int)(end - p), p);
        if (!strstr(line, part))
            continue;
        ++*lines;
        repeated = strstr(line, " repeated=");
        events += 1 + (repeated ? strtoull(repeated + 10, NULL, 10) : 0);
    }
    return events;
}

static void complain(const char *event, const char *section, const char *reason, int number)
{
    struct log_line l;

    log_begin(&l, LOG_LEVEL_WARNING, event, section);
    log_add(&l, "reason", reason);
    log_add_number(&l, "number", number);
    log_end(&l);
}

static void a_flood_is_held_back_and_nothing_is_lost(void **state)
{
    int i, lines;
    char *text;

    (void)state;
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    capture_start();
    for (i = 0; i < 5000; i++)
        complain("refused", "a", "revoked", i);
    complain("refused", "b", "revoked", 0); /* another section is not held back with it */
    complain("refused", "a", "pki", 0);     /* nor another reason */
    log_tick();
    log_flush();
    text = capture_end();
    assert_int_equal(events_in(text, "section=a reason=revoked", &lines), 5000);
    assert_true(lines >= 2 && lines < 2500);
    assert_int_equal(events_in(text, "section=b reason=revoked", &lines), 1);
    assert_int_equal(events_in(text, "section=a reason=pki", &lines), 1);
    /* the latest is the one that is told in full */
    assert_contains(text, "number=4999");
    free(text);
}

static void a_flood_from_many_sections_loses_nothing(void **state)
{
    int i, lines;
    char *text;

    (void)state;
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    capture_start();
    for (i = 0; i < 300 * 20; i++) {
        char section[16];

        snprintf(section, sizeof(section), "s%d", i / 20);
        complain("upstream_error", section, "connect", i);
    }
    log_flush();
    text = capture_end();
    assert_int_equal(events_in(text, "event=upstream_error", &lines), 300 * 20);
    assert_true(lines < 300 * 20);
    free(text);
}

static void routine_events_are_never_held_back(void **state)
{
    int i, lines;
    char *text;

    (void)state;
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    capture_start();
    for (i = 0; i < 100; i++) {
        struct log_line l;

        log_begin(&l, LOG_LEVEL_INFO, "tunnel_open", "a");
        log_end(&l);
    }
    text = capture_end();
    assert_int_equal(events_in(text, "event=tunnel_open", &lines), 100);
    assert_int_equal(lines, 100);
    free(text);
}

static void the_count_stands_in_json_too(void **state)
{
    int i;
    json_int_t events = 0;
    char *text, *p, *end;

    (void)state;
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    capture_start();
    for (i = 0; i < 1000; i++)
        complain("limit", NULL, "x", i);
    log_flush();
    text = capture_end();
    for (p = text; *p; p = end + 1) {
        json_t *o;

        end = strchr(p, '\n');
        o = json_loadb(p, (size_t)(end - p), 0, NULL);
        assert_non_null(o);
        events += 1 + json_integer_value(json_object_get(o, "repeated"));
        json_decref(o);
    }
    assert_int_equal(events, 1000);
    free(text);
}

static void the_journal_gets_the_priority(void **state)
{
    char stream[64], *text;
    struct stat st;
    struct log_line l;

    (void)state;
    capture_start();
    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    log_begin(&l, LOG_LEVEL_ERROR, "pin_mismatch", "a");
    log_end(&l);
    /* somebody else's stream */
    setenv("JOURNAL_STREAM", "1:1", 1);
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    log_begin(&l, LOG_LEVEL_NOTICE, "start", NULL);
    log_end(&l);
    unsetenv("JOURNAL_STREAM");
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    log_flush();
    text = capture_end();
    assert_int_equal(strncmp(text, "<3>time=", 8), 0);
    assert_contains(text, "\ntime=");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_cannot_forge_a_logfmt_field),
        cmocka_unit_test(a_value_cannot_break_a_json_line),
        cmocka_unit_test(a_long_value_is_cut_with_a_mark),
        cmocka_unit_test(more_fields_than_fit_do_no_harm),
        cmocka_unit_test(lines_below_the_level_are_not_written),
        cmocka_unit_test(a_flood_is_held_back_and_nothing_is_lost),
        cmocka_unit_test(a_flood_from_many_sections_loses_nothing),
        cmocka_unit_test(routine_events_are_never_held_back),
        cmocka_unit_test(the_count_stands_in_json_too),
        cmocka_unit_test(the_journal_gets_the_priority),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
