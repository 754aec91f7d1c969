/* http/response: heads of responses. Two parsers must not see different fields in the same bytes. */
#include "http/response.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "help.h"

#define VALUE "the value"
#define OK "HTTP/1.1 200 OK\r\n"
#define FIELD "Wanted: " VALUE "\r\n"
#define END "\r\n"
#define CONTINUE "HTTP/1.1 100 Continue\r\n"

/* What was parsed. value is that of the field Wanted. */
struct answer {
    enum http_result result;
    int status, version;
    size_t consumed;
    const char *why;
    bool found;
    char value[1000];
};

/* Parses a copy of exactly that size, so that a sanitizer sees one byte too far. */
static struct answer parse_bytes(const char *bytes, size_t n)
{
    struct http_response r, before;
    struct answer a = {.consumed = SIZE_MAX};
    struct http_text value;
    char *copy = malloc(n ? n : 1);

    assert_non_null(copy);
    memcpy(copy, bytes, n);
    memset(&r, 0x5a, sizeof(r));
    before = r;
    a.result = http_response_parse(copy, n, &r, &a.consumed, &a.why);
    if (a.result == HTTP_HEAD) {
        assert_true(a.consumed <= n);
        a.status = r.status;
        a.version = r.version;
        a.found = http_response_find_field(&r, "Wanted", &value);
        if (a.found)
            snprintf(a.value, sizeof(a.value), "%.*s", (int)value.len, value.bytes);
    } else {
        assert_memory_equal(&r, &before, sizeof(r));
        assert_true(a.consumed == SIZE_MAX);
    }
    if (a.result == HTTP_BAD)
        assert_true(a.why && *a.why);
    free(copy);
    return a;
}

static struct answer parse(const char *answer)
{
    const struct answer a = parse_bytes(answer, strlen(answer));

    if (a.result != HTTP_HEAD)
        fail_msg("'%s': %s", answer, a.result == HTTP_BAD ? a.why : "more");
    return a;
}

/* The head must be good, and have the field with this value. */
static void expect_field(const char *answer, const char *value)
{
    const struct answer a = parse(answer);

    if (!a.found)
        fail_msg("'%s' has no field", answer);
    assert_string_equal(a.value, value);
}

/* Bad, and known to be so before the connection ends. */
static void reject_bytes(const char *bytes, size_t n, const char *part)
{
    const struct answer a = parse_bytes(bytes, n);

    if (a.result != HTTP_BAD)
        fail_msg("'%.*s' %s", (int)n, bytes, a.result == HTTP_MORE ? "wants more" : "was taken");
    assert_contains(a.why, part);
}

static void reject(const char *answer, const char *part)
{
    reject_bytes(answer, strlen(answer), part);
}

static void a_field_is_found_in_a_head(void **state)
{
    static const char *const answers[] = {
        OK FIELD END,
        OK "Server: x\r\n" FIELD "Content-Length: 5\r\n" END "hello",
        "HTTP/1.0 200 OK\r\n" FIELD END,
        "HTTP/1.1 200 \r\n" FIELD END,
        "HTTP/1.1 200\r\n" FIELD END,
        "HTTP/1.1 200 \t\xc3\xa9 all  right\r\n" FIELD END,
        "HTTP/1.1 200 OK\nWanted: " VALUE "\n\n",
        "HTTP/1.1 200 OK\n" FIELD "\n",
        OK "WANTED:" VALUE "\r\n" END,
        OK "wanted: \t " VALUE " \t \r\n" END,
        OK "Wanted-Report-Only: other\r\n" FIELD END,
        OK "X:\r\n!#$%&'*+-.^_`|~09aZ: \xff\t\"\\\r\n" FIELD END,
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(answers); i++) {
        expect_field(answers[i], VALUE);
        assert_int_equal(parse(answers[i]).status, 200);
        assert_int_equal(parse(answers[i]).version, strstr(answers[i], "/1.0 ") ? 10 : 11);
    }
}

static void any_final_status_is_returned(void **state)
{
    static const char *const statuses[] = {"200", "204", "301", "304", "401", "404", "500", "599"};
    char answer[200];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(statuses); i++) {
        snprintf(answer, sizeof(answer), "HTTP/1.1 %s X\r\n" FIELD END, statuses[i]);
        expect_field(answer, VALUE);
        assert_int_equal(parse(answer).status, atoi(statuses[i]));
    }
}

static void a_field_is_found_by_its_whole_name_and_not_in_the_content(void **state)
{
    static const char *const answers[] = {
        OK END,
        OK "Server: x\r\n" END,
        OK "Wanted-Report-Only: " VALUE "\r\n" END,
        OK "Wante: " VALUE "\r\n" END,
        OK "Wanteds: " VALUE "\r\n" END,
        OK "X-Wanted: " VALUE "\r\n" END,
        OK "Want_ed: " VALUE "\r\n" END,
        OK "X: Wanted: " VALUE "\r\n" END,
        OK "X: a\\r\\nWanted: " VALUE "\r\n" END,
        "HTTP/1.1 200 Wanted: " VALUE "\r\n" END,
        /* a body is none of ours */
        OK END FIELD END,
        OK "Content-Length: 200\r\n" END FIELD END,
        OK "Content-Length: 0\r\n" END OK FIELD END,
        OK "\n" FIELD END,
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(answers); i++)
        assert_false(parse(answers[i]).found);
}

static void the_first_of_several_fields_is_found(void **state)
{
    (void)state;
    expect_field(OK FIELD "Wanted: other\r\n" END, VALUE);
    expect_field(OK FIELD "wanted:\r\n" END, VALUE);
    expect_field(OK "Wanted: other\r\n" FIELD END, "other");
    expect_field(OK "Wanted:\r\n" FIELD END, "");
}

/* RFC 9112 section 5 */
static void whitespace_around_a_value_is_no_part_of_it(void **state)
{
    (void)state;
    expect_field(OK "Wanted:a\r\n" END, "a");
    expect_field(OK "Wanted: \t a \t b\t \r\n" END, "a \t b");
    expect_field(OK "Wanted: \t \r\n" END, "");
    expect_field(OK "Wanted: :\r\n" END, ":");
}

static void the_content_begins_behind_the_consumed_bytes(void **state)
{
    (void)state;
    assert_int_equal(parse(OK FIELD END).consumed, strlen(OK FIELD END));
    assert_int_equal(parse(OK FIELD END "content\r\n\r\n").consumed, strlen(OK FIELD END));
    assert_int_equal(parse(OK END END).consumed, strlen(OK END));
    assert_int_equal(parse(CONTINUE END OK END "x").consumed, strlen(CONTINUE END OK END));
    assert_int_equal(parse("HTTP/1.1 200\n\nx").consumed, strlen("HTTP/1.1 200\n\n"));
}

static void lines_that_are_no_fields_are_refused(void **state)
{
    static const char *const lines[] = {
        "Wanted : " VALUE, "Wanted\t: " VALUE, ": " VALUE, "Wanted",      "Wanted " VALUE,
        "Want ed: " VALUE, "\"x\": y",         "(x): y",   "\xc3\xa9: y", "GET / HTTP/1.1",
    };
    char answer[300];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(lines); i++) {
        snprintf(answer, sizeof(answer), OK "%s\r\n" FIELD END, lines[i]);
        reject(answer, "header");
        snprintf(answer, sizeof(answer), OK FIELD "%s\r\n" END, lines[i]);
        reject(answer, "header");
    }
}

/* RFC 9112 section 5.2 */
static void folded_lines_are_refused(void **state)
{
    (void)state;
    reject(OK "Wanted: a;\r\n b\r\n" END, "header");
    reject(OK "Wanted: a;\r\n\tb\r\n" END, "header");
    reject(OK "Wanted:\r\n " VALUE "\r\n" END, "header");
    reject(OK "X: a\r\n " FIELD END, "header");
    reject(OK " " FIELD END, "header");
    reject(OK FIELD " \r\n" END, "header");
}

/* What one hop takes for a line's end and another does not smuggles fields. */
static void fields_cannot_be_injected(void **state)
{
    static const char *const answers[] = {
        OK "X: a\r" FIELD END,
        OK "X: a\r\r\n" FIELD END,
        OK FIELD "\r\r\n" END,
        OK FIELD "X: \r\n\r" END END,
        OK "X: a\v" FIELD END,
        OK "X: a\x7f" FIELD END,
        OK "X: \x1b[2J\r\n" FIELD END,
        OK "Wanted: "
           "a;\rb\r\n" END,
        OK "\rWanted: " VALUE "\r\n" END,
        "HTTP/1.1 200 OK\r" FIELD END,
        "HTTP/1.1 200 OK\r\r\n" FIELD END,
        "HTTP/1.1 200\x01\r\n" FIELD END,
    };
    static const char nul_in_value[] = OK "X: a\0b\r\n" FIELD END;
    static const char nul_in_wanted[] = OK "Wanted: " VALUE "\0\r\n" END;
    static const char nul_in_name[] = OK "Wanted\0: " VALUE "\r\n" END;
    static const char nul_in_status[] = "HTTP/1.1 200 O\0K\r\n" FIELD END;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(answers); i++)
        reject(answers[i], "");
    reject_bytes(nul_in_value, sizeof(nul_in_value) - 1, "header");
    reject_bytes(nul_in_wanted, sizeof(nul_in_wanted) - 1, "header");
    reject_bytes(nul_in_name, sizeof(nul_in_name) - 1, "header");
    reject_bytes(nul_in_status, sizeof(nul_in_status) - 1, "HTTP");
}

static void what_is_not_http_1_is_refused(void **state)
{
    static const char *const lines[] = {
        "",
        " HTTP/1.1 200 OK",
        "http/1.1 200 OK",
        "HTTP/1.2 200 OK",
        "HTTP/2 200",
        "HTTP/2.0 200 OK",
        "HTTP/1.10 200 OK",
        "HTTP/11 200 OK",
        "HTTP/1.1",
        "HTTP/1.1 ",
        "HTTP/1.1 20",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 200OK",
        "HTTP/1.1 200\tOK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1 2x0 OK",
        "HTTP/1.1 000 OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1 600 OK",
        "HTTP/1.1 999 OK",
        "HTTP/1.1 -20 OK",
        "ICY 200 OK",
        "220 mail.example.com ESMTP",
        "GET / HTTP/1.1",
    };
    char answer[200];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(lines); i++) {
        snprintf(answer, sizeof(answer), "%s\r\n" FIELD END, lines[i]);
        reject(answer, "HTTP");
    }
}

/* Such servers may never send a newline, nor end. */
static void another_protocol_is_noticed_by_its_first_bytes(void **state)
{
    static const char http2[] = "\0\0\x12\4\0\0\0\0\0\0\3\0\0\0\x80";

    (void)state;
    reject_bytes(http2, sizeof(http2) - 1, "HTTP");
    reject("SSH-2.0-", "HTTP");
    reject("<", "HTTP");
    assert_int_equal(parse_bytes("HTTP/1", 6).result, HTTP_MORE);
    reject("HTTP/2", "HTTP");
}

/* RFC 9110 section 15.2 */
static void interim_responses_are_skipped(void **state)
{
    (void)state;
    expect_field(CONTINUE END OK FIELD END, VALUE);
    expect_field(
        "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nWanted: other\r\n" END CONTINUE END OK FIELD END,
        VALUE);
    assert_false(parse(CONTINUE FIELD END OK END).found);
    assert_int_equal(parse(CONTINUE END "HTTP/1.0 404\r\n" END).status, 404);
    /* the same grammar applies to them */
    reject(CONTINUE "X: a\r\n folded\r\n" END OK FIELD END, "header");
    reject(CONTINUE END "HTTP/2 200\r\n" FIELD END, "HTTP");
    reject(CONTINUE END END OK FIELD END, "HTTP");
}

static void an_interim_response_is_not_the_last_one(void **state)
{
    (void)state;
    assert_int_equal(parse_bytes(CONTINUE FIELD END, strlen(CONTINUE FIELD END)).result, HTTP_MORE);
}

static void interim_responses_have_a_limit(void **state)
{
    struct strbuf text = {0};
    int i;

    (void)state;
    for (i = 0; i < HTTP_INTERIM_MAX; i++)
        strbuf_add(&text, CONTINUE END);
    strbuf_add(&text, OK FIELD END);
    expect_field(strbuf_text(&text), VALUE);
    strbuf_clear(&text);
    for (i = 0; i <= HTTP_INTERIM_MAX; i++)
        strbuf_add(&text, CONTINUE END);
    reject(strbuf_text(&text), "interim");
    strbuf_add(&text, OK FIELD END);
    reject(strbuf_text(&text), "interim");
    strbuf_free(&text);
}

static void a_switch_of_protocols_is_refused(void **state)
{
    (void)state;
    reject("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n" FIELD END OK FIELD END,
           "protocol");
    reject(CONTINUE END "HTTP/1.1 101\r\n" END, "protocol");
}

static void every_beginning_of_a_head_wants_more(void **state)
{
    static const char answer[] = OK FIELD "Server: x\r\n" END;
    size_t i;

    (void)state;
    for (i = 0; i < strlen(answer); i++)
        assert_int_equal(parse_bytes(answer, i).result, HTTP_MORE);
    assert_int_equal(parse_bytes(answer, i).result, HTTP_HEAD);
    assert_int_equal(http_response_parse(NULL, 0, NULL, NULL, &(const char *){NULL}), HTTP_MORE);
}

/* A head of that many bytes. */
static char *long_head(size_t n)
{
    static const char start[] = OK FIELD "X: ";
    char *answer = malloc(n + 1);

    if (!answer)
        abort();
    memset(answer, 'x', n);
    memcpy(answer, start, strlen(start));
    memcpy(answer + n - 4, "\r\n\r\n", 5);
    return answer;
}

static void a_head_without_an_end_is_refused(void **state)
{
    char *answer = long_head(HTTP_HEAD_MAX);

    (void)state;
    assert_int_equal(parse_bytes(answer, HTTP_HEAD_MAX - 1).result, HTTP_MORE);
    assert_int_equal(parse_bytes(answer, HTTP_HEAD_MAX).result, HTTP_HEAD);
    free(answer);

    answer = long_head(HTTP_HEAD_MAX + 1);
    assert_int_equal(parse_bytes(answer, HTTP_HEAD_MAX - 1).result, HTTP_MORE);
    reject_bytes(answer, HTTP_HEAD_MAX, "too long");
    reject_bytes(answer, HTTP_HEAD_MAX + 1, "too long");
    free(answer);

    /* what follows the head does not count */
    answer = long_head(HTTP_HEAD_MAX + 1);
    memcpy(answer + HTTP_HEAD_MAX / 2, "\r\n\r\n", 4);
    assert_int_equal(parse_bytes(answer, HTTP_HEAD_MAX + 1).result, HTTP_HEAD);
    free(answer);
}

static void interim_heads_count_for_the_length(void **state)
{
    struct strbuf text = {0};
    char *answer = long_head(HTTP_HEAD_MAX);

    (void)state;
    strbuf_add(&text, CONTINUE END);
    strbuf_add(&text, answer);
    reject(strbuf_text(&text), "too long");
    strbuf_free(&text);
    free(answer);
}

static void where_the_bytes_are_cut_does_not_matter(void **state)
{
    static const char *const answers[] = {
        OK FIELD END,
        OK "Server: x\r\n" FIELD "X:\t\r\n" END "body\r\n\r\n" OK,
        "HTTP/1.0 404 No\nWanted:" VALUE "\nX: y\n\nbody",
        CONTINUE "X: y\r\n" FIELD END CONTINUE END OK FIELD END "body",
        OK "Server: x\r\n" END FIELD,
        OK "Wanted: max-age=1\r\n" FIELD END,
        OK FIELD "X : y\r\n" END,
        OK FIELD "X: y\r\n z\r\n" END,
        OK "X: \r" FIELD END,
        "HTTP/1.1 101 X\r\n" END OK FIELD END,
        "HTTP/2.0 200 OK\r\n" FIELD END,
        "HTTP/1.1 200OK\r\n" FIELD END,
        "SSH-2.0-x\r\n",
        OK FIELD,
        "HTTP/1.1 20",
        CONTINUE CONTINUE END,
    };
    size_t i, n;

    (void)state;
    for (i = 0; i < COUNT(answers); i++) {
        const size_t all = strlen(answers[i]);
        const struct answer whole = parse_bytes(answers[i], all);
        bool decided = false;

        for (n = 0; n < all; n++) {
            const struct answer a = parse_bytes(answers[i], n);

            /* what was said once is said again with more bytes */
            assert_false(decided && a.result == HTTP_MORE);
            decided = a.result != HTTP_MORE;
            if (!decided)
                continue;
            assert_int_equal(a.result, whole.result);
            if (a.result == HTTP_BAD) {
                assert_string_equal(a.why, whole.why);
            } else {
                assert_int_equal(a.consumed, whole.consumed);
                assert_string_equal(a.value, whole.value);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_field_is_found_in_a_head),
        cmocka_unit_test(any_final_status_is_returned),
        cmocka_unit_test(a_field_is_found_by_its_whole_name_and_not_in_the_content),
        cmocka_unit_test(the_first_of_several_fields_is_found),
        cmocka_unit_test(whitespace_around_a_value_is_no_part_of_it),
        cmocka_unit_test(the_content_begins_behind_the_consumed_bytes),
        cmocka_unit_test(lines_that_are_no_fields_are_refused),
        cmocka_unit_test(folded_lines_are_refused),
        cmocka_unit_test(fields_cannot_be_injected),
        cmocka_unit_test(what_is_not_http_1_is_refused),
        cmocka_unit_test(another_protocol_is_noticed_by_its_first_bytes),
        cmocka_unit_test(interim_responses_are_skipped),
        cmocka_unit_test(an_interim_response_is_not_the_last_one),
        cmocka_unit_test(interim_responses_have_a_limit),
        cmocka_unit_test(a_switch_of_protocols_is_refused),
        cmocka_unit_test(every_beginning_of_a_head_wants_more),
        cmocka_unit_test(a_head_without_an_end_is_refused),
        cmocka_unit_test(interim_heads_count_for_the_length),
        cmocka_unit_test(where_the_bytes_are_cut_does_not_matter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
