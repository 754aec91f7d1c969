/* base/units: the words of configuration values. */
#include "base/units.h"

#include <string.h>

#include "help.h"

#define UNTOUCHED INT64_C(-77)

static void durations_are_read_in_every_unit(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {
        {"0", 0},
        {"off", 0},
        {"OFF", 0},
        {"500ms", 500},
        {"10s", 10000},
        {"10", 10000},
        {"5m", 300000},
        {"2h", 7200000},
        {"1d", 86400000},
        {"0d", 0},
        {"3650d", INT64_C(315360000000)},
        {"315360000s", INT64_C(315360000000)},
        {"315360000000ms", INT64_C(315360000000)},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        int64_t ms = UNTOUCHED;

        assert_null(units_duration(rows[i].text, &ms));
        assert_int_equal(ms, rows[i].ms);
    }
}

static void wrong_durations_are_not_taken_for_something_else(void **state)
{
    static const char *const rows[] = {
        "",
        " 5s",
        "5 s",
        "5s ",
        "-1",
        "+1",
        "1.5s",
        "5sec",
        "ms",
        "s",
        "0x10",
        "5m5s",
        "1w",
        "5S",
        "3651d",
        "no",
        "offs",
        "5s\n",
        "315360001",
        "87601h",
        "315360000001ms",
        "9223372036854775807d",
        "18446744073709551616",
        "99999999999999999999999999ms",
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        int64_t ms = UNTOUCHED;

        if (!units_duration(rows[i], &ms))
            fail_msg("'%s' was taken as a duration", rows[i]);
        assert_int_equal(ms, UNTOUCHED);
    }
}

static void printed_durations_read_back(void **state)
{
    static const int64_t rows[] = {0,     1,       500,      999,      1000,        1500,
                                   60000, 3600000, 86400000, 90000000, 315360000000};
    char text[UNITS_DURATION_SIZE];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        int64_t ms = UNTOUCHED;

        units_format_duration(rows[i], text);
        assert_null(units_duration(text, &ms));
        assert_int_equal(ms, rows[i]);
    }
    units_format_duration(1500, text);
    assert_string_equal(text, "1500ms");
    units_format_duration(10000, text);
    assert_string_equal(text, "10s");
    units_format_duration(0, text);
    assert_string_equal(text, "off");
}

static void numbers_outside_of_their_range_are_refused(void **state)
{
    static const char *const wrong[] = {"",    "0",     "65536",      "-1",
                                        "+1",  "1 ",    " 1",         "0x1",
                                        "1.0", "1e3",   "4294967297", "18446744073709551617",
                                        "a",   "65535a"};
    long value = -77;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(wrong); i++) {
        const char *why = units_number(wrong[i], 1, 65535, &value);

        if (!why)
            fail_msg("'%s' was taken as a number from 1 to 65535", wrong[i]);
        assert_string_equal(why, "a number from 1 to 65535");
        assert_int_equal(value, -77);
    }
    assert_null(units_number("1", 1, 65535, &value));
    assert_int_equal(value, 1);
    assert_null(units_number("65535", 1, 65535, &value));
    assert_int_equal(value, 65535);
}

static void booleans_have_six_words_and_no_more(void **state)
{
    static const char *const yes[] = {"yes", "on", "true", "YES", "True"};
    static const char *const no[] = {"no", "off", "false", "NO", "Off"};
    static const char *const wrong[] = {"", "y", "n", "1", "0", "yes ", " yes", "enable", "none"};
    size_t i;
    bool value;

    (void)state;
    for (i = 0; i < COUNT(yes); i++) {
        value = false;
        assert_null(units_bool(yes[i], &value));
        assert_true(value);
        value = true;
        assert_null(units_bool(no[i], &value));
        assert_false(value);
    }
    for (i = 0; i < COUNT(wrong); i++) {
        value = true;
        if (!units_bool(wrong[i], &value))
            fail_msg("'%s' was taken as a boolean", wrong[i]);
        assert_true(value);
    }
}

static void dates_are_midnight_utc(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds;
    } rows[] = {
        {"1970-01-01", 0},
        {"1970-01-02", 86400},
        {"2000-02-29", 951782400},
        {"2024-02-29", 1709164800},
        {"2027-06-30", 1814313600},
        {"2038-01-20", INT64_C(2147558400)},
        {"9999-12-31", INT64_C(253402214400)},
    };
    char text[UNITS_DATE_SIZE];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        int64_t seconds = UNTOUCHED;

        assert_null(units_date(rows[i].text, &seconds));
        assert_int_equal(seconds, rows[i].seconds);
        units_format_date(seconds, text);
        assert_string_equal(text, rows[i].text);
        units_format_date(seconds + 86399, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void days_that_do_not_exist_are_refused(void **state)
{
    static const char *const rows[] = {
        "2027-02-30",
        "2027-02-29",
        "1900-02-29",
        "2100-02-29",
        "2027-04-31",
        "2027-06-31",
        "2027-13-01",
        "2027-00-10",
        "2027-01-00",
        "2027-01-32",
        "2027-1-1",
        "27-01-01",
        "2027-01-01 ",
        " 2027-01-01",
        "2027-01-01x",
        "2027/01/01",
        "20270101",
        "",
        "2027",
        "2027-01",
        "-027-01-01",
        "+027-01-01",
        "2027-+1-01",
        "2027- 1-01",
        "2027-01- 1",
        "2027-01-1",
        "2027-0x-01",
        "tomorrow",
        "2027-01-01T00:00:00Z",
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        int64_t seconds = UNTOUCHED;

        if (!units_date(rows[i], &seconds))
            fail_msg("'%s' was taken as a date", rows[i]);
        assert_int_equal(seconds, UNTOUCHED);
    }
}

static void spans_are_whole_in_the_largest_unit_that_fits(void **state)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } rows[] = {
        {0, "0 seconds"},
        {1, "1 second"},
        {-59, "59 seconds"},
        {60, "1 minute"},
        {-1800, "30 minutes"},
        {3599, "59 minutes"},
        {3600, "1 hour"},
        {-86399, "23 hours"},
        {86400, "1 day"},
        {-172799, "1 day"},
        {172800, "2 days"},
        {216 * INT64_C(86400), "216 days"},
        {INT64_MIN, "106751991167300 days"},
    };
    char out[UNITS_SPAN_SIZE];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        units_format_span(rows[i].seconds, out);
        assert_string_equal(out, rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read_in_every_unit),
        cmocka_unit_test(wrong_durations_are_not_taken_for_something_else),
        cmocka_unit_test(printed_durations_read_back),
        cmocka_unit_test(numbers_outside_of_their_range_are_refused),
        cmocka_unit_test(booleans_have_six_words_and_no_more),
        cmocka_unit_test(dates_are_midnight_utc),
        cmocka_unit_test(days_that_do_not_exist_are_refused),
        cmocka_unit_test(spans_are_whole_in_the_largest_unit_that_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
