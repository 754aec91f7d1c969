/* learned/hpkp: pins that a host announces. A value that is not exactly right announces nothing. */
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

static void every_byte_of_a_pin_is_read(void **state)
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

static void names_are_compared_without_regard_to_case(void **state)
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

static void what_is_in_quotes_is_no_directive(void **state)
{
    struct hpkp p = parse("report-uri=\"; max-age=1; pin-sha256=" B "\"; " GOOD);

    (void)state;
    assert_int_equal(p.max_age, 3000);
    assert_int_equal(p.count, 1);
    assert_memory_equal(p.pins[0], a_starts, sizeof(a_starts));
}

static void a_pin_that_is_there_twice_is_one(void **state)
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

static void a_max_age_beyond_the_maximum_is_the_maximum(void **state)
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

static void a_max_age_that_is_no_number_of_seconds_is_refused(void **state)
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

static void a_directive_may_be_there_once(void **state)
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
static void what_is_malformed_is_refused(void **state)
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

static void control_bytes_are_refused_everywhere(void **state)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_rfc_are_read),
        cmocka_unit_test(every_byte_of_a_pin_is_read),
        cmocka_unit_test(names_are_compared_without_regard_to_case),
        cmocka_unit_test(blanks_and_empty_directives_do_not_matter),
        cmocka_unit_test(escapes_in_quotes_are_undone),
        cmocka_unit_test(what_is_in_quotes_is_no_directive),
        cmocka_unit_test(a_pin_that_is_there_twice_is_one),
        cmocka_unit_test(too_many_pins_are_refused_not_cut),
        cmocka_unit_test(pins_of_other_algorithms_are_ignored),
        cmocka_unit_test(pins_without_quotes_are_refused),
        cmocka_unit_test(unknown_directives_are_ignored),
        cmocka_unit_test(a_long_name_is_not_taken_for_its_beginning),
        cmocka_unit_test(a_max_age_beyond_the_maximum_is_the_maximum),
        cmocka_unit_test(a_long_max_age_is_not_cut_to_a_short_one),
        cmocka_unit_test(a_max_age_that_is_no_number_of_seconds_is_refused),
        cmocka_unit_test(without_max_age_nothing_is_announced),
        cmocka_unit_test(pins_are_needed_unless_they_are_withdrawn),
        cmocka_unit_test(base64_that_is_not_exact_is_refused),
        cmocka_unit_test(an_all_zero_pin_is_refused),
        cmocka_unit_test(a_directive_may_be_there_once),
        cmocka_unit_test(directives_have_the_values_they_should),
        cmocka_unit_test(what_is_malformed_is_refused),
        cmocka_unit_test(control_bytes_are_refused_everywhere),
        cmocka_unit_test(quotes_hold_tabs_and_bytes_beyond_ascii),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
