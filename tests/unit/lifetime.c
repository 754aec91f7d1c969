/* base/lifetime: when an end is near, by days and by the share of a life. */
#include "base/lifetime.h"

#include "base/clock.h"
#include "help.h"

#define START INT64_C(1800000000) /* 2027-01-15 08:00:00 UTC */
#define HOUR INT64_C(3600)

/* Lives, and how long before their end each stage begins. */
static const struct life {
    int64_t days;
    int64_t first, second, last; /* seconds */
} lives[] = {
    /* short-lived certificates of Let's Encrypt; a little more */
    {6, 2 * DAY_SECONDS, DAY_SECONDS, 12 * HOUR},
    {7, 56 * HOUR, 28 * HOUR, 14 * HOUR},
    /* the maximum of public certificates from 2029 on */
    {47, 376 * HOUR, 7 * DAY_SECONDS, DAY_SECONDS},
    {90, 30 * DAY_SECONDS, 7 * DAY_SECONDS, DAY_SECONDS},
    {398, 30 * DAY_SECONDS, 7 * DAY_SECONDS, DAY_SECONDS},
    {3652, 30 * DAY_SECONDS, 7 * DAY_SECONDS, DAY_SECONDS},
};

static enum lifetime_stage stage(const struct life *life, int64_t left)
{
    const int64_t end = START + life->days * DAY_SECONDS;

    return lifetime_stage(START, end, end - left, NULL);
}

static void each_stage_begins_at_its_second(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(lives); i++) {
        const struct life *life = &lives[i];

        assert_int_equal(stage(life, life->first), LIFETIME_FAR);
        assert_int_equal(stage(life, life->first - 1), LIFETIME_FIRST);
        assert_int_equal(stage(life, life->second), LIFETIME_FIRST);
        assert_int_equal(stage(life, life->second - 1), LIFETIME_SECOND);
        assert_int_equal(stage(life, life->last), LIFETIME_SECOND);
        assert_int_equal(stage(life, life->last - 1), LIFETIME_LAST);
        assert_int_equal(stage(life, 1), LIFETIME_LAST);
    }
}

static void the_first_two_thirds_of_every_life_are_silent(void **state)
{
    int64_t days, age;

    (void)state;
    for (days = 1; days <= 400; days++)
        for (age = 0; age <= days * DAY_SECONDS * 2 / 3; age += HOUR)
            assert_int_equal(lifetime_stage(START, START + days * DAY_SECONDS, START + age, NULL),
                             LIFETIME_FAR);
}

/* The daemon checks once a day, at any time of day. */
static void a_daily_check_warns_before_the_end_of_six_days(void **state)
{
    int64_t hour, age;

    (void)state;
    for (hour = 0; hour < 24; hour++) {
        unsigned warnings = 0;

        for (age = hour * HOUR; age < 6 * DAY_SECONDS; age += DAY_SECONDS)
            warnings += stage(&lives[0], 6 * DAY_SECONDS - age) != LIFETIME_FAR;
        assert_between(warnings, 1, 2);
    }
}

static void what_has_ended_is_in_the_last_stage(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(lives); i++) {
        assert_int_equal(stage(&lives[i], 0), LIFETIME_LAST);
        assert_int_equal(stage(&lives[i], -1), LIFETIME_LAST);
        assert_int_equal(stage(&lives[i], -100 * 365 * DAY_SECONDS), LIFETIME_LAST);
    }
}

/* A clock that is behind, or a certificate for later. */
static void before_the_start_the_end_is_far(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(lives); i++) {
        assert_int_equal(stage(&lives[i], lives[i].days * DAY_SECONDS), LIFETIME_FAR);
        assert_int_equal(stage(&lives[i], lives[i].days * DAY_SECONDS + 1), LIFETIME_FAR);
        assert_int_equal(lifetime_stage(START, START + lives[i].days * DAY_SECONDS, 0, NULL),
                         LIFETIME_FAR);
    }
}

static void without_a_life_the_days_are_the_limit(void **state)
{
    static const int64_t starts[] = {LIFETIME_NO_START, START + 1, START};
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(starts); i++) {
        assert_int_equal(lifetime_stage(starts[i], START, START - 30 * DAY_SECONDS, NULL),
                         LIFETIME_FAR);
        assert_int_equal(lifetime_stage(starts[i], START, START - 30 * DAY_SECONDS + 1, NULL),
                         LIFETIME_FIRST);
        assert_int_equal(lifetime_stage(starts[i], START, START - 7 * DAY_SECONDS + 1, NULL),
                         LIFETIME_SECOND);
        assert_int_equal(lifetime_stage(starts[i], START, START - DAY_SECONDS + 1, NULL),
                         LIFETIME_LAST);
        assert_int_equal(lifetime_stage(starts[i], START, START, NULL), LIFETIME_LAST);
        assert_int_equal(lifetime_stage(starts[i], START, START + 1, NULL), LIFETIME_LAST);
    }
}

/* 9999-12-31 23:59:59 is the end of what has none (RFC 5280 section 4.1.2.5). */
static void the_longest_life_is_counted_in_days(void **state)
{
    const int64_t start = INT64_C(-62167219200), end = INT64_C(253402300799);

    (void)state;
    assert_int_equal(lifetime_stage(start, end, START, NULL), LIFETIME_FAR);
    assert_int_equal(lifetime_stage(start, end, end - 30 * DAY_SECONDS + 1, NULL), LIFETIME_FIRST);
    assert_int_equal(lifetime_stage(start, START, START + 1, NULL), LIFETIME_LAST);
}

static void a_life_of_a_second_ends_in_it(void **state)
{
    (void)state;
    assert_int_equal(lifetime_stage(START, START + 1, START, NULL), LIFETIME_FAR);
    assert_int_equal(lifetime_stage(START, START + 1, START + 1, NULL), LIFETIME_LAST);
}

static void the_limit_of_the_stage_is_stored(void **state)
{
    int64_t within = -1;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(lives); i++) {
        const int64_t end = START + lives[i].days * DAY_SECONDS;

        (void)lifetime_stage(START, end, end - lives[i].first + 1, &within);
        assert_int_equal(within, lives[i].first);
        (void)lifetime_stage(START, end, end - lives[i].second + 1, &within);
        assert_int_equal(within, lives[i].second);
        (void)lifetime_stage(START, end, end, &within);
        assert_int_equal(within, lives[i].last);
    }
    within = -1;
    (void)lifetime_stage(START, START + DAY_SECONDS, START, &within);
    assert_int_equal(within, -1);
}

static void a_limit_is_the_shorter_of_days_and_share(void **state)
{
    (void)state;
    assert_int_equal(lifetime_limit(START, START + 6 * DAY_SECONDS, 14, 3), 2 * DAY_SECONDS);
    assert_int_equal(lifetime_limit(START, START + 42 * DAY_SECONDS, 14, 3), 14 * DAY_SECONDS);
    assert_int_equal(lifetime_limit(START, START + 42 * DAY_SECONDS - 3, 14, 3),
                     14 * DAY_SECONDS - 1);
    assert_int_equal(lifetime_limit(START, START + 90 * DAY_SECONDS, 14, 3), 14 * DAY_SECONDS);
    assert_int_equal(lifetime_limit(LIFETIME_NO_START, START, 14, 3), 14 * DAY_SECONDS);
    assert_int_equal(lifetime_limit(START, START - 1, 14, 3), 14 * DAY_SECONDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_stage_begins_at_its_second),
        cmocka_unit_test(the_first_two_thirds_of_every_life_are_silent),
        cmocka_unit_test(a_daily_check_warns_before_the_end_of_six_days),
        cmocka_unit_test(what_has_ended_is_in_the_last_stage),
        cmocka_unit_test(before_the_start_the_end_is_far),
        cmocka_unit_test(without_a_life_the_days_are_the_limit),
        cmocka_unit_test(the_longest_life_is_counted_in_days),
        cmocka_unit_test(a_life_of_a_second_ends_in_it),
        cmocka_unit_test(the_limit_of_the_stage_is_stored),
        cmocka_unit_test(a_limit_is_the_shorter_of_days_and_share),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
