/* trust/asn1time: dates before, at and after a moment, and those that are none. */
#include "trust/asn1time.h"

#include <openssl/asn1.h>
#include <string.h>

#include "help.h"

#define NOON INT64_C(1781524800) /* 2026-06-15 12:00:00 UTC */

static ASN1_TIME *date(int type, const char *text)
{
    ASN1_TIME *time = ASN1_STRING_type_new(type);

    assert_non_null(time);
    assert_int_equal(ASN1_STRING_set(time, text, (int)strlen(text)), 1);
    return time;
}

static void a_date_is_before_or_after_to_the_second(void **state)
{
    static const struct {
        int type;
        const char *text;
    } noon[] = {
        {V_ASN1_UTCTIME, "260615120000Z"},
        {V_ASN1_GENERALIZEDTIME, "20260615120000Z"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(noon); i++) {
        ASN1_TIME *time = date(noon[i].type, noon[i].text);

        assert_int_equal(asn1time_compare(time, NOON + 1), -1);
        assert_int_equal(asn1time_compare(time, NOON), -1);
        assert_int_equal(asn1time_compare(time, NOON - 1), 1);
        assert_int_equal(asn1time_compare(time, 0), 1);
        assert_int_equal(asn1time_compare(time, NOON + INT64_C(3600) * 24 * 365 * 500), -1);
        ASN1_TIME_free(time);
    }
}

/* RFC 5280 section 4.1.2.5: a UTCTime is of 1950 to 2049. */
static void two_digits_of_a_year_are_of_1950_to_2049(void **state)
{
    ASN1_TIME *first = date(V_ASN1_UTCTIME, "500101000000Z");
    ASN1_TIME *last = date(V_ASN1_UTCTIME, "491231235959Z");

    (void)state;
    assert_int_equal(asn1time_compare(first, 0), -1);
    assert_int_equal(asn1time_compare(last, NOON), 1);
    ASN1_TIME_free(first);
    ASN1_TIME_free(last);
}

/* 9999-12-31 is the date of a certificate without an end (RFC 5280 section 4.1.2.5). */
static void the_last_date_of_all_is_after_every_moment(void **state)
{
    ASN1_TIME *time = date(V_ASN1_GENERALIZEDTIME, "99991231235959Z");

    (void)state;
    assert_int_equal(asn1time_compare(time, NOON), 1);
    ASN1_TIME_free(time);
}

/* Each is a date to ASN1_TIME_to_tm(), or nearly one. */
static void other_spellings_are_no_date(void **state)
{
    static const struct {
        int type;
        const char *text;
    } rows[] = {
        {V_ASN1_UTCTIME, ""},
        {V_ASN1_UTCTIME, "2606151200Z"},       /* no seconds */
        {V_ASN1_UTCTIME, "260615120000+0100"}, /* a time zone */
        {V_ASN1_UTCTIME, "2606151200000"},     /* no Z */
        {V_ASN1_UTCTIME, "260615120000z"},
        {V_ASN1_UTCTIME, "26061512000 Z"},
        {V_ASN1_UTCTIME, "261315120000Z"},   /* month 13 */
        {V_ASN1_UTCTIME, "260230120000Z"},   /* 30 February */
        {V_ASN1_UTCTIME, "20260615120000Z"}, /* the other type's */
        {V_ASN1_GENERALIZEDTIME, "260615120000Z"},
        {V_ASN1_GENERALIZEDTIME, "20260615120000"},
        {V_ASN1_GENERALIZEDTIME, "202606151200Z"},
        {V_ASN1_GENERALIZEDTIME, "20260615120000.5Z"},
        {V_ASN1_GENERALIZEDTIME, "20260615120000-0100"},
        {V_ASN1_GENERALIZEDTIME, "-0260615120000Z"},
        {V_ASN1_OCTET_STRING, "20260615120000Z"},
    };

    (void)state;
    assert_int_equal(asn1time_compare(NULL, NOON), 0);
    for (size_t i = 0; i < COUNT(rows); i++) {
        ASN1_TIME *time = date(rows[i].type, rows[i].text);

        if (asn1time_compare(time, NOON) != 0 || asn1time_compare(time, 0) != 0)
            fail_msg("'%s' was taken for a date", rows[i].text);
        ASN1_STRING_free(time);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_date_is_before_or_after_to_the_second),
        cmocka_unit_test(two_digits_of_a_year_are_of_1950_to_2049),
        cmocka_unit_test(the_last_date_of_all_is_after_every_moment),
        cmocka_unit_test(other_spellings_are_no_date),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
