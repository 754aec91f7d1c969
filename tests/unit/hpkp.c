/* learned/hpkp: pins that a host announces. What is not exactly as it should be announces nothing. */
#include "learned/hpkp.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "help.h"

/* Those of RFC 7469 section 2.1.5. */
#define A "d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM="
#define B "E9CZ9INDbd+2eRQozYqqbQ2yXLVKB9+xcprMF+44U1g="
#define C "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="
#define PIN(base64) "pin-sha256=\"" base64 "\""
#define GOOD PIN(A) "; max-age=3000"

#define OK "HTTP/1.1 200 OK\r\n"
#define FIELD "Public-Key-Pins: " GOOD "\r\n"
#define END "\r\n"

static const uint8_t a_starts[] = {0x77, 0xaa, 0xb3, 0x46};
static const uint8_t b_starts[] = {0x13, 0xd0, 0x99, 0xf4};
static const uint8_t c_starts[] = {0x2c, 0xf2, 0x4d, 0xba};

/* A copy of exactly that size, so that a sanitizer sees one byte too far. */
static char *exactly(const char *bytes, size_t n)
{
    char *copy = malloc(n ? n : 1);

    if (!copy)
        abort();
    memcpy(copy, bytes, n);
    return copy;
}

static const char *parse_bytes(const char *bytes, size_t n, struct hpkp *out)
{
    char *copy = exactly(bytes, n);
    const char *why;
    struct hpkp before;

    memset(out, 0x5a, sizeof(*out));
    before = *out;
    why = hpkp_parse(copy, n, out);
    free(copy);
    if (why)
        assert_memory_equal(out, &before, sizeof(before));
    return why;
}

static struct hpkp parse(const char *value)
{
    struct hpkp out;
    const char *why = parse_bytes(value, strlen(value), &out);

    if (why)
        fail_msg("'%s': %s", value, why);
    return out;
}

/* Refused, with a word of the reason. */
static void refuse(const char *value, const char *part)
{
    struct hpkp out;
    const char *why = parse_bytes(value, strlen(value), &out);

    if (!why)
        fail_msg("'%s' was taken", value);
    assert_contains(why, part);
}

static enum hpkp_result read_bytes(const char *bytes, size_t n, bool ended, struct hpkp *out,
                                   const char **why)
{
    char *copy = exactly(bytes, n);
    enum hpkp_result result;
    struct hpkp before;

    memset(out, 0x5a, sizeof(*out));
    before = *out;
    *why = NULL;
    result = hpkp_read(copy, n, ended, out, why);
    free(copy);
    if (result != HPKP_FOUND)
        assert_memory_equal(out, &before, sizeof(before));
    if (result == HPKP_BAD)
        assert_true(*why && **why);
    return result;
}

static struct hpkp find(const char *answer)
{
    struct hpkp out;
    const char *why;

    if (read_bytes(answer, strlen(answer), false, &out, &why) != HPKP_FOUND)
        fail_msg("'%s': %s", answer, why ? why : "more");
    return out;
}

/* Bad, and known to be so before the connection ends. */
static void reject_bytes(const char *bytes, size_t n, const char *part)
{
    struct hpkp out;
    const char *why;
    enum hpkp_result result = read_bytes(bytes, n, false, &out, &why);

    if (result != HPKP_BAD)
        fail_msg("'%.*s' %s", (int)n, bytes, result == HPKP_MORE ? "wants more" : "was taken");
    assert_contains(why, part);
}

static void reject(const char *answer, const char *part)
{
    reject_bytes(answer, strlen(answer), part);
}

static void the_examples_of_the_rfc_are_read(void **state)
{
    /* RFC 7469 section 2.1.5, without its line breaks */
    struct hpkp p = parse("max-age=3000; " PIN(A) "; " PIN(B));

    (void)state;
    assert_int_equal(p.max_age, 3000);
    assert_int_equal(p.count, 2);
    assert_memory_equal(p.pins[0], a_starts, sizeof(a_starts));
    assert_memory_equal(p.pins[1], b_starts, sizeof(b_starts));

    p = parse("max-age=2592000; " PIN(B) "; " PIN(C));
    assert_int_equal(p.max_age, 2592000);
    assert_int_equal(p.count, 2);
    assert_memory_equal(p.pins[1], c_starts, sizeof(c_starts));

    p = parse(
        "max-age=2592000; " PIN(B) "; " PIN(C) "; report-uri=\"http://example.com/pkp-report\"");
    assert_int_equal(p.max_age, 2592000);
    assert_int_equal(p.count, 2);

    p = parse(PIN(A) "; " PIN(C) "; max-age=259200");
    assert_int_equal(p.max_age, 259200);
    assert_int_equal(p.count, 2);

    p = parse(PIN(A) "; " PIN(B) "; " PIN(C) "; max-age=10000; includeSubDomains");
    assert_int_equal(p.max_age, 10000);
    assert_int_equal(p.count, 3);
    assert_memory_equal(p.pins[2], c_starts, sizeof(c_starts));
}

static void every_byte_of_a_pin_counts(void **state)
{
    static const uint8_t digest[CERT_DIGEST_SIZE] = {
        0x77, 0xaa, 0xb3, 0x46, 0xef, 0x73, 0x38, 0x40, 0x9b, 0xf7, 0x45,
        0x1e, 0xcf, 0x6e, 0xf1, 0x5a, 0x5b, 0x4d, 0xb2, 0x3d, 0x1e, 0xd4,
        0xc7, 0x7b, 0x1a, 0x46, 0x18, 0x91, 0x5a, 0x19, 0x5a, 0x63};
    struct hpkp p = parse(GOOD);

    (void)state;
    assert_int_equal(p.count, 1);
    assert_memory_equal(p.pins[0], digest, sizeof(digest));
}

static void names_count_in_any_case(void **state)
{
    struct hpkp p = parse("MAX-AGE=7; Pin-SHA256=\"" A "\"; INCLUDESUBDOMAINS; Report-URI=x");

    (void)state;
    assert_int_equal(p.max_age, 7);
    assert_int_equal(p.count, 1);
    refuse("max-age=7; Max-Age=7; " PIN(A), "twice");
    /* that of a pin is part of it */
    refuse("max-age=7; " PIN("D6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM=") "; max-age=1",
           "twice");
    p = parse("max-age=7; " PIN("D6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM="));
    assert_memory_not_equal(p.pins[0], a_starts, sizeof(a_starts));
}

static void blanks_and_empty_directives_do_not_matter(void **state)
{
    static const char *const values[] = {
        GOOD,
        "max-age=3000;" PIN(A),
        " \t" PIN(A) " \t; \tmax-age=3000\t ",
        ";;" GOOD ";",
        "; ; \t;" PIN(A) ";; ;max-age=3000; ; ",
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(values); i++) {
        struct hpkp p = parse(values[i]);

        assert_int_equal(p.max_age, 3000);
        assert_int_equal(p.count, 1);
        assert_memory_equal(p.pins[0], a_starts, sizeof(a_starts));
    }
}

/* RFC 7230 section 3.2.6 */
static void escapes_in_quotes_are_undone(void **state)
{
    struct hpkp p = parse("pin-sha256=\"\\d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM\\=\"; "
                          "max-age=\"30\\0\\0\"; x=\"a\\\"b\\\\\"; report-uri=\"\\;\"");

    (void)state;
    assert_int_equal(p.max_age, 3000);
    assert_int_equal(p.count, 1);
    assert_memory_equal(p.pins[0], a_starts, sizeof(a_starts));
    /* the quote that is escaped does not end it, the one behind an escaped backslash does */
    p = parse("x=\"\\\"; max-age=1; \\\"\"; " GOOD);
    assert_int_equal(p.max_age, 3000);
    assert_int_equal(p.count, 1);
    refuse("x=\"\\\\\"; max-age=1; " GOOD, "twice");
}

static void what_stands_in_quotes_is_no_directive(void **state)
{
    struct hpkp p = parse("report-uri=\"; max-age=1; pin-sha256=" B "\"; " GOOD);

    (void)state;
    assert_int_equal(p.max_age, 3000);
    assert_int_equal(p.count, 1);
    assert_memory_equal(p.pins[0], a_starts, sizeof(a_starts));
}

static void a_pin_that_stands_twice_is_one(void **state)
{
    struct hpkp p = parse(PIN(A) ";" PIN(B) ";" PIN(A) ";max-age=1;PIN-sha256=\"\\" B "\";" PIN(A));

    (void)state;
    assert_int_equal(p.count, 2);
    assert_memory_equal(p.pins[0], a_starts, sizeof(a_starts));
    assert_memory_equal(p.pins[1], b_starts, sizeof(b_starts));
}

static void too_many_pins_are_refused_not_cut(void **state)
{
    struct strbuf text = {0};
    struct hpkp p;
    int i;

    (void)state;
    strbuf_add(&text, "max-age=1");
    for (i = 0; i < HPKP_PINS_MAX; i++)
        strbuf_addf(&text, "; pin-sha256=\"%c%s\"", 'A' + i, &A[1]);
    /* one that is there already is not one more */
    strbuf_addf(&text, "; pin-sha256=\"A%s\"", &A[1]);
    p = parse(strbuf_text(&text));
    assert_int_equal(p.count, HPKP_PINS_MAX);
    strbuf_addf(&text, "; pin-sha256=\"%c%s\"", 'A' + i, &A[1]);
    refuse(strbuf_text(&text), "pins");
    strbuf_free(&text);
}

static void pins_of_other_algorithms_are_ignored(void **state)
{
    struct hpkp p = parse("pin-sha1=\"x\"; pin-sha512=\"\"; pin-sha2567=\"" B "\"; " GOOD
                          "; pin-sha1=\"x\"");

    (void)state;
    assert_int_equal(p.count, 1);
    assert_memory_equal(p.pins[0], a_starts, sizeof(a_starts));
    refuse("pin-sha512=\"" A "\"; max-age=3000", "no pin-sha256");
}

static void pins_without_quotes_are_refused(void **state)
{
    (void)state;
    refuse("pin-sha256=d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM; max-age=1", "quotes");
    refuse("pin-sha256; max-age=1", "quotes");
    refuse(GOOD "; pin-sha1=abc", "quotes");
    refuse(GOOD "; pin-sha1", "quotes");
    refuse(GOOD "; PIN-x=1", "quotes");
}

static void unknown_directives_are_ignored(void **state)
{
    char name[2000], value[4000];
    struct hpkp p = parse(
        "x; y=z; x=\"\"; includeSubDomains2=1; max-age2=q; !#$%&'*+-.^_`|~09=~; " GOOD);

    (void)state;
    assert_int_equal(p.count, 1);
    assert_int_equal(p.max_age, 3000);
    /* however long they are */
    memset(name, 'n', sizeof(name));
    snprintf(value, sizeof(value), "%.*s; %.*s=%.*s; x=\"%.*s\"; " GOOD, 1000, name, 64, name, 1200,
             name, 1200, name);
    p = parse(value);
    assert_int_equal(p.count, 1);
    assert_int_equal(p.max_age, 3000);
}

static void a_long_name_is_not_taken_for_its_beginning(void **state)
{
    static const char *const known[] = {"max-age", "includeSubDomains", "report-uri"};
    char value[400];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(known); i++) {
        snprintf(value, sizeof(value), "%s%0*d=\"7\"; " GOOD, known[i], 200, 0);
        assert_int_equal(parse(value).max_age, 3000);
    }
    snprintf(value, sizeof(value), "pin-sha256%0*d=\"" B "\"; " GOOD, 200, 0);
    assert_int_equal(parse(value).count, 1);
}

static void max_age_that_overflows_is_the_most(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds;
    } rows[] = {
        {"0", 0},
        {"1", 1},
        {"0000000000000000000000000000000000000000000000000000000000000000000000012", 12},
        {"2147483646", 2147483646},
        {"2147483647", INT32_MAX},
        {"2147483648", INT32_MAX},
        {"4294967296", INT32_MAX},
        {"9223372036854775807", INT32_MAX},
        {"9223372036854775808", INT32_MAX},
        {"18446744073709551616", INT32_MAX},
        {"18446744073709551617", INT32_MAX},
        {"99999999999999999999999999999999999999999999999999999999999999999999999999", INT32_MAX},
    };
    char value[300];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        snprintf(value, sizeof(value), PIN(A) "; max-age=%s", rows[i].text);
        assert_int_equal(parse(value).max_age, rows[i].seconds);
        snprintf(value, sizeof(value), "max-age=\"%s\"; " PIN(A), rows[i].text);
        assert_int_equal(parse(value).max_age, rows[i].seconds);
    }
}

static void a_long_max_age_is_not_cut_to_a_short_one(void **state)
{
    char value[4000];
    struct hpkp p;

    (void)state;
    /* refused or taken for what it says, but never as 0 */
    snprintf(value, sizeof(value), "max-age=%03000d; " PIN(A), 7);
    if (!parse_bytes(value, strlen(value), &p))
        assert_int_equal(p.max_age, 7);
    snprintf(value, sizeof(value), "max-age=\"%03000d x\"; " PIN(A), 7);
    refuse(value, "max-age");
}

static void what_is_no_number_of_seconds_is_refused(void **state)
{
    static const char *const values[] = {
        "max-age",         "max-age=\"\"",      "max-age=-1",       "max-age=\"-1\"",
        "max-age=+1",      "max-age=1.5",       "max-age=1e3",      "max-age=0x10",
        "max-age=10s",     "max-age=ten",       "max-age=\" 10\"",  "max-age=\"10 \"",
        "max-age=\"1 0\"", "max-age=\"10;20\"", "max-age=\"1\\a\"", "max-age=\"\xd9\xa1\"",
    };
    char value[200];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(values); i++) {
        snprintf(value, sizeof(value), "%s; " PIN(A), values[i]);
        refuse(value, "max-age");
    }
}

static void without_max_age_nothing_is_announced(void **state)
{
    (void)state;
    refuse("", "max-age");
    refuse(" ; ;", "max-age");
    refuse(PIN(A), "max-age");
    refuse(PIN(A) "; maxage=1; max-ages=1", "max-age");
}

static void pins_are_needed_unless_they_are_withdrawn(void **state)
{
    struct hpkp p = parse("max-age=0");

    (void)state;
    assert_int_equal(p.count, 0);
    assert_int_equal(p.max_age, 0);
    p = parse("max-age=0; " PIN(A));
    assert_int_equal(p.count, 1);
    refuse("max-age=1", "no pin-sha256");
    refuse("max-age=3000; includeSubDomains", "no pin-sha256");
    /* a malformed field withdraws nothing */
    refuse("max-age=0; pin-sha256=\"\"", "base64");
    refuse("max-age=0; =", "");
}

static void base64_that_is_not_exact_is_refused(void **state)
{
    static const char *const pins[] = {
        "",
        "d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM",
        "d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM==",
        "d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmN=", /* spare bits */
        "d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmMA", /* 33 bytes */
        "d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWm==", /* 31 bytes */
        "d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZ====",
        "d6qzRu9zOECb90Uez27xWl=Nsj0e1Md7GkYYkVoZWmM=",
        "=6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM=",
        "d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZW-M=",
        "d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZW_M=",
        " d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM=",
        "d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM= ",
        " d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM",
        "d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM ",
        "d6qzRu9zOECb90Uez27xWl Nsj0e1Md7GkYYkVoZWmM=",
        "d6qzRu9zOECb90Uez27xWl\tNsj0e1Md7GkYYkVoZWmM=",
        "\\\\6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM=",
        "\xc3\xa9qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM=",
        "77aab346ef7338409bf7451ecf6ef15a5b4db23d1ed4c77b1a4618915a195a63",
        A A,
        A "," B,
        ("sha256//" A),
    };
    char value[300];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(pins); i++) {
        snprintf(value, sizeof(value), PIN(B) "; pin-sha256=\"%s\"; max-age=1", pins[i]);
        refuse(value, "base64");
    }
}

static void an_all_zero_pin_is_refused(void **state)
{
    (void)state;
    refuse(PIN("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=") "; max-age=1", "pin-sha256");
    assert_int_equal(parse(PIN("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=") "; max-age=1").count,
                     1);
}

static void a_directive_stands_once(void **state)
{
    (void)state;
    refuse(GOOD "; max-age=3000", "twice");
    refuse("max-age=0; " GOOD, "twice");
    refuse(GOOD "; includeSubDomains; includesubdomains", "twice");
    refuse(GOOD "; report-uri=x; report-uri=\"x\"", "twice");
}

/* RFC 7469 sections 2.1.3 and 2.1.4 */
static void directives_have_the_values_they_should(void **state)
{
    (void)state;
    refuse(GOOD "; includeSubDomains=1", "includeSubDomains");
    refuse(GOOD "; includeSubDomains=\"\"", "includeSubDomains");
    refuse(GOOD "; report-uri", "report-uri");
}

/* RFC 7469 section 2.1: "UAs must not attempt to fix malformed header fields" */
static void what_is_malformed_is_not_mended(void **state)
{
    static const char *const values[] = {
        GOOD "; =",
        GOOD "; =x",
        GOOD "; x=",
        GOOD "; x=;",
        GOOD "; x==y",
        GOOD "; x=y=z",
        GOOD "; x=\"y",
        GOOD "; x=\"y\\",
        GOOD "; x=\"y\\\"",
        GOOD "; x=\"",
        GOOD "; x=\"y\"z",
        GOOD "; x=\"y\"\"z\"",
        GOOD "; x=y\"z\"",
        GOOD "; \"x\"",
        GOOD "; \"x\"=y",
        GOOD "; x y",
        GOOD "; x =y",
        GOOD "; x= y",
        GOOD "; x = \"y\"",
        GOOD "; x\t=y",
        GOOD "; x=y z",
        GOOD ", x",
        GOOD " x",
        GOOD "; x,y",
        GOOD "; (x)",
        GOOD "; x/y",
        GOOD "; x=y\\z",
        GOOD "; x=http://example.com/",
        GOOD "; x=\xc3\xa9",
        GOOD "; \xc3\xa9",
        GOOD "; x=[y]",
        "max-age =3000; " PIN(A),
        "max-age= 3000; " PIN(A),
        "pin-sha256= \"" A "\"; max-age=1",
        "max-age=3000, " PIN(A),
        "max-age=3000 " PIN(A),
        "max-age=3000: " PIN(A),
        "pin-sha256='" A "'; max-age=1",
        "pin-sha256=\"" A "; max-age=1",
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(values); i++)
        refuse(values[i], "");
}

static void control_bytes_are_refused_wherever_they_stand(void **state)
{
    static const char *const values[] = {
        "@" GOOD,     GOOD "@", GOOD "; x=\"@\"", GOOD "; x=\"\\@\"", "max-age=1@; " PIN(A),
        GOOD "; x@=y"};
    char value[200];
    struct hpkp out;
    size_t i;
    int c;

    (void)state;
    for (i = 0; i < COUNT(values); i++)
        for (c = 0; c < 256; c++) {
            size_t n = strlen(values[i]);

            if (c == '\t' || (c >= 0x20 && c != 0x7f))
                continue;
            strcpy(value, values[i]);
            *strchr(value, '@') = (char)c;
            if (!parse_bytes(value, n, &out))
                fail_msg("byte %d was taken in '%s'", c, values[i]);
        }
}

static void quotes_hold_tabs_and_bytes_beyond_ascii(void **state)
{
    (void)state;
    assert_int_equal(parse("x=\"\t \xc3\xa9\xff\x80\\\t\\\xff\"; " GOOD).max_age, 3000);
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
        "HTTP/1.1 200 OK\nPublic-Key-Pins: " GOOD "\n\n",
        "HTTP/1.1 200 OK\n" FIELD "\n",
        OK "PUBLIC-KEY-PINS:" GOOD "\r\n" END,
        OK "public-key-pins: \t " GOOD " \t \r\n" END,
        OK "Public-Key-Pins-Report-Only: max-age=1; " PIN(B) "\r\n" FIELD END,
        OK "X:\r\n!#$%&'*+-.^_`|~09aZ: \xff\t\"\\\r\n" FIELD END,
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(answers); i++) {
        struct hpkp p = find(answers[i]);

        assert_int_equal(p.max_age, 3000);
        assert_int_equal(p.count, 1);
        assert_memory_equal(p.pins[0], a_starts, sizeof(a_starts));
    }
}

/* RFC 7469 section 2.2.1 ties the field to no status. */
static void any_final_status_counts(void **state)
{
    static const char *const statuses[] = {"200", "204", "301", "304", "401", "404", "500", "599"};
    char answer[200];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(statuses); i++) {
        snprintf(answer, sizeof(answer), "HTTP/1.1 %s X\r\n" FIELD END, statuses[i]);
        assert_int_equal(find(answer).count, 1);
    }
}

static void an_answer_without_the_field_announces_nothing(void **state)
{
    static const char *const answers[] = {
        OK END,
        OK "Server: x\r\n" END,
        OK "Public-Key-Pins-Report-Only: " GOOD "\r\n" END,
        OK "Public-Key-Pin: " GOOD "\r\n" END,
        OK "Public-Key-Pinss: " GOOD "\r\n" END,
        OK "X-Public-Key-Pins: " GOOD "\r\n" END,
        OK "Public_Key_Pins: " GOOD "\r\n" END,
        OK "X: Public-Key-Pins: " GOOD "\r\n" END,
        OK "X: a\\r\\nPublic-Key-Pins: " GOOD "\r\n" END,
        "HTTP/1.1 200 Public-Key-Pins: " GOOD "\r\n" END,
        /* a body is none of ours */
        OK END FIELD END,
        OK "Content-Length: 200\r\n" END FIELD END,
        OK "Content-Length: 0\r\n" END OK FIELD END,
        OK "\n" FIELD END,
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(answers); i++)
        reject(answers[i], "the answer has no Public-Key-Pins field");
}

/* RFC 7469 section 2.3.1 */
static void the_first_of_several_fields_counts(void **state)
{
    struct hpkp p = find(OK FIELD "Public-Key-Pins: max-age=1; " PIN(B) "\r\n" END);

    (void)state;
    assert_int_equal(p.max_age, 3000);
    assert_int_equal(p.count, 1);
    p = find(OK FIELD "public-key-pins: rubbish=\r\n" END);
    assert_int_equal(p.max_age, 3000);
    /* though it be a bad one */
    reject(OK "Public-Key-Pins: max-age=1\r\n" FIELD END, "no pin-sha256");
    reject(OK "Public-Key-Pins:\r\n" FIELD END, "max-age");
}

static void a_bad_field_is_told_from_none(void **state)
{
    (void)state;
    reject(OK "Public-Key-Pins: " PIN(A) "\r\n" END, "max-age is missing");
    reject(OK "Public-Key-Pins: " PIN("abc") "; max-age=1\r\n" END, "base64");
    reject(OK "Public-Key-Pins: " GOOD "; x=\"\r\n" END, "quote");
}

static void lines_that_are_no_fields_are_refused(void **state)
{
    static const char *const lines[] = {
        "Public-Key-Pins : " GOOD,
        "Public-Key-Pins\t: " GOOD,
        ": " GOOD,
        "Public-Key-Pins",
        "Public-Key-Pins " GOOD,
        "Public Key Pins: " GOOD,
        "\"x\": y",
        "(x): y",
        "\xc3\xa9: y",
        "GET / HTTP/1.1",
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
    reject(OK "Public-Key-Pins: " PIN(A) ";\r\n max-age=1\r\n" END, "header");
    reject(OK "Public-Key-Pins: " PIN(A) ";\r\n\tmax-age=1\r\n" END, "header");
    reject(OK "Public-Key-Pins:\r\n " GOOD "\r\n" END, "header");
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
        OK "Public-Key-Pins: " PIN(A) ";\rmax-age=1\r\n" END,
        OK "\rPublic-Key-Pins: " GOOD "\r\n" END,
        "HTTP/1.1 200 OK\r" FIELD END,
        "HTTP/1.1 200 OK\r\r\n" FIELD END,
        "HTTP/1.1 200\x01\r\n" FIELD END,
    };
    static const char nul_in_value[] = OK "X: a\0b\r\n" FIELD END;
    static const char nul_in_pins[] = OK "Public-Key-Pins: " GOOD "\0\r\n" END;
    static const char nul_in_name[] = OK "Public-Key-Pins\0: " GOOD "\r\n" END;
    static const char nul_in_status[] = "HTTP/1.1 200 O\0K\r\n" FIELD END;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(answers); i++)
        reject(answers[i], "");
    reject_bytes(nul_in_value, sizeof(nul_in_value) - 1, "header");
    reject_bytes(nul_in_pins, sizeof(nul_in_pins) - 1, "header");
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
    struct hpkp out;
    const char *why;

    (void)state;
    reject_bytes(http2, sizeof(http2) - 1, "HTTP");
    reject("SSH-2.0-", "HTTP");
    reject("<", "HTTP");
    assert_int_equal(read_bytes("HTTP/1", 6, false, &out, &why), HPKP_MORE);
    assert_int_equal(read_bytes("HTTP/2", 6, false, &out, &why), HPKP_BAD);
    assert_contains(why, "HTTP");
    assert_int_equal(read_bytes("HTTP/2", 6, true, &out, &why), HPKP_BAD);
    assert_contains(why, "HTTP");
}

#define CONTINUE "HTTP/1.1 100 Continue\r\n"

/* RFC 9110 section 15.2 */
static void interim_answers_are_passed_over(void **state)
{
    struct hpkp p = find(CONTINUE END OK FIELD END);

    (void)state;
    assert_int_equal(p.max_age, 3000);
    p = find("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nPublic-Key-Pins: max-age=1; " PIN(
        B) "\r\n" END CONTINUE END OK FIELD END);
    assert_int_equal(p.max_age, 3000);
    assert_memory_equal(p.pins[0], a_starts, sizeof(a_starts));
    reject(CONTINUE FIELD END OK END, "no Public-Key-Pins");
    /* they are held to the same grammar */
    reject(CONTINUE "X: a\r\n folded\r\n" END OK FIELD END, "header");
    reject(CONTINUE END "HTTP/2 200\r\n" FIELD END, "HTTP");
    reject(CONTINUE END END OK FIELD END, "HTTP");
}

static void an_interim_answer_is_not_the_last_word(void **state)
{
    static const char answer[] = CONTINUE FIELD END;
    struct hpkp out;
    const char *why;

    (void)state;
    assert_int_equal(read_bytes(answer, strlen(answer), false, &out, &why), HPKP_MORE);
    assert_int_equal(read_bytes(answer, strlen(answer), true, &out, &why), HPKP_BAD);
    assert_contains(why, "broke off");
}

static void interim_answers_have_an_end(void **state)
{
    struct strbuf text = {0};
    int i;

    (void)state;
    for (i = 0; i < 8; i++)
        strbuf_add(&text, CONTINUE END);
    strbuf_add(&text, OK FIELD END);
    assert_int_equal(find(strbuf_text(&text)).count, 1);
    strbuf_clear(&text);
    for (i = 0; i < 9; i++)
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

static void a_head_that_breaks_off_announces_nothing(void **state)
{
    static const char answer[] = OK FIELD "Server: x\r\n" END;
    struct hpkp out;
    const char *why;
    size_t i;

    (void)state;
    for (i = 0; i < strlen(answer); i++) {
        assert_int_equal(read_bytes(answer, i, false, &out, &why), HPKP_MORE);
        assert_int_equal(read_bytes(answer, i, true, &out, &why), HPKP_BAD);
        assert_contains(why, "broke off");
    }
    assert_int_equal(read_bytes(answer, i, false, &out, &why), HPKP_FOUND);
    assert_int_equal(read_bytes(answer, i, true, &out, &why), HPKP_FOUND);
    assert_int_equal(hpkp_read(NULL, 0, false, &out, &why), HPKP_MORE);
    assert_int_equal(hpkp_read(NULL, 0, true, &out, &why), HPKP_BAD);
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

static void a_head_without_end_is_given_up(void **state)
{
    char *answer = long_head(HPKP_HEAD_MAX);
    struct hpkp out;
    const char *why;

    (void)state;
    assert_int_equal(read_bytes(answer, HPKP_HEAD_MAX - 1, false, &out, &why), HPKP_MORE);
    assert_int_equal(read_bytes(answer, HPKP_HEAD_MAX, false, &out, &why), HPKP_FOUND);
    free(answer);

    answer = long_head(HPKP_HEAD_MAX + 1);
    assert_int_equal(read_bytes(answer, HPKP_HEAD_MAX - 1, false, &out, &why), HPKP_MORE);
    reject_bytes(answer, HPKP_HEAD_MAX, "too long");
    reject_bytes(answer, HPKP_HEAD_MAX + 1, "too long");
    free(answer);

    /* what follows the head does not count */
    answer = long_head(HPKP_HEAD_MAX + 1);
    memcpy(answer + HPKP_HEAD_MAX / 2, "\r\n\r\n", 4);
    assert_int_equal(read_bytes(answer, HPKP_HEAD_MAX + 1, false, &out, &why), HPKP_FOUND);
    free(answer);
}

static void interim_heads_count_for_the_length(void **state)
{
    struct strbuf text = {0};
    char *answer = long_head(HPKP_HEAD_MAX);

    (void)state;
    strbuf_add(&text, CONTINUE END);
    strbuf_add(&text, answer);
    reject(strbuf_text(&text), "too long");
    strbuf_free(&text);
    free(answer);
}

static void where_the_pieces_are_cut_does_not_matter(void **state)
{
    static const char *const answers[] = {
        OK FIELD END,
        OK "Server: x\r\n" FIELD "X:\t\r\n" END "body\r\n\r\n" OK,
        "HTTP/1.0 404 No\nPublic-Key-Pins:" GOOD "\nX: y\n\nbody",
        CONTINUE "X: y\r\n" FIELD END CONTINUE END OK FIELD END "body",
        OK "Server: x\r\n" END FIELD,
        OK "Public-Key-Pins: max-age=1\r\n" FIELD END,
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
        const char *why, *expected;
        struct hpkp p, out;
        enum hpkp_result result = read_bytes(answers[i], all, true, &out, &expected), r;
        bool over = false;

        for (n = 0; n < all; n++) {
            r = read_bytes(answers[i], n, false, &p, &why);
            /* what was said once is said again with more bytes */
            assert_false(over && r == HPKP_MORE);
            over = r != HPKP_MORE;
            if (!over)
                continue;
            assert_int_equal(r, result);
            if (r == HPKP_BAD)
                assert_string_equal(why, expected);
            else
                assert_memory_equal(&p, &out, sizeof(p));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_rfc_are_read),
        cmocka_unit_test(every_byte_of_a_pin_counts),
        cmocka_unit_test(names_count_in_any_case),
        cmocka_unit_test(blanks_and_empty_directives_do_not_matter),
        cmocka_unit_test(escapes_in_quotes_are_undone),
        cmocka_unit_test(what_stands_in_quotes_is_no_directive),
        cmocka_unit_test(a_pin_that_stands_twice_is_one),
        cmocka_unit_test(too_many_pins_are_refused_not_cut),
        cmocka_unit_test(pins_of_other_algorithms_are_ignored),
        cmocka_unit_test(pins_without_quotes_are_refused),
        cmocka_unit_test(unknown_directives_are_ignored),
        cmocka_unit_test(a_long_name_is_not_taken_for_its_beginning),
        cmocka_unit_test(max_age_that_overflows_is_the_most),
        cmocka_unit_test(a_long_max_age_is_not_cut_to_a_short_one),
        cmocka_unit_test(what_is_no_number_of_seconds_is_refused),
        cmocka_unit_test(without_max_age_nothing_is_announced),
        cmocka_unit_test(pins_are_needed_unless_they_are_withdrawn),
        cmocka_unit_test(base64_that_is_not_exact_is_refused),
        cmocka_unit_test(an_all_zero_pin_is_refused),
        cmocka_unit_test(a_directive_stands_once),
        cmocka_unit_test(directives_have_the_values_they_should),
        cmocka_unit_test(what_is_malformed_is_not_mended),
        cmocka_unit_test(control_bytes_are_refused_wherever_they_stand),
        cmocka_unit_test(quotes_hold_tabs_and_bytes_beyond_ascii),
        cmocka_unit_test(a_field_is_found_in_a_head),
        cmocka_unit_test(any_final_status_counts),
        cmocka_unit_test(an_answer_without_the_field_announces_nothing),
        cmocka_unit_test(the_first_of_several_fields_counts),
        cmocka_unit_test(a_bad_field_is_told_from_none),
        cmocka_unit_test(lines_that_are_no_fields_are_refused),
        cmocka_unit_test(folded_lines_are_refused),
        cmocka_unit_test(fields_cannot_be_injected),
        cmocka_unit_test(what_is_not_http_1_is_refused),
        cmocka_unit_test(another_protocol_is_noticed_by_its_first_bytes),
        cmocka_unit_test(interim_answers_are_passed_over),
        cmocka_unit_test(an_interim_answer_is_not_the_last_word),
        cmocka_unit_test(interim_answers_have_an_end),
        cmocka_unit_test(a_switch_of_protocols_is_refused),
        cmocka_unit_test(a_head_that_breaks_off_announces_nothing),
        cmocka_unit_test(a_head_without_end_is_given_up),
        cmocka_unit_test(interim_heads_count_for_the_length),
        cmocka_unit_test(where_the_pieces_are_cut_does_not_matter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
