/* proxy/deadline: when an open tunnel ends, and how. */
#include "proxy/deadline.h"

#include "help.h"

#define NOW 1000000

static struct deadline_facts facts(int64_t idle, int64_t half_close)
{
    return (struct deadline_facts){.last_activity = NOW,
                                   .idle_timeout = idle,
                                   .half_close_timeout = half_close,
                                   .settled = true};
}

static void expect(const struct deadline_facts *f, enum deadline_action action, int64_t at,
                   enum reason reason)
{
    const struct deadline d = deadline_next(f);

    assert_int_equal(d.action, action);
    if (action == DEADLINE_NONE)
        return;
    assert_int_equal(d.at, at);
    if (action != DEADLINE_HURRY)
        assert_int_equal(d.reason, reason);
}

static void without_limits_there_is_no_deadline(void **state)
{
    struct deadline_facts f = facts(0, 0);

    (void)state;
    expect(&f, DEADLINE_NONE, 0, REASON_NONE);
    f.half_closed = true;
    expect(&f, DEADLINE_NONE, 0, REASON_NONE);
}

static void silence_ends_a_tunnel_in_order(void **state)
{
    struct deadline_facts f = facts(5000, 0);

    (void)state;
    expect(&f, DEADLINE_CLOSE, NOW + 5000, REASON_IDLE);
    f.last_activity += 700;
    expect(&f, DEADLINE_CLOSE, NOW + 5700, REASON_IDLE);
}

static void half_close_timeout_has_an_effect_after_a_half_close(void **state)
{
    struct deadline_facts f = facts(0, 3000);

    (void)state;
    expect(&f, DEADLINE_NONE, 0, REASON_NONE);
    f.half_closed = true;
    expect(&f, DEADLINE_CLOSE, NOW + 3000, REASON_HALF_CLOSE);
}

static void the_shorter_timeout_gives_the_reason(void **state)
{
    static const struct {
        int64_t idle, half_close, at;
        enum reason reason;
    } rows[] = {
        {5000, 3000, 3000, REASON_HALF_CLOSE},
        {3000, 5000, 3000, REASON_IDLE},
        {3000, 3000, 3000, REASON_HALF_CLOSE},
        {3000, 0, 3000, REASON_IDLE},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        struct deadline_facts f = facts(rows[i].idle, rows[i].half_close);

        f.half_closed = true;
        expect(&f, DEADLINE_CLOSE, NOW + rows[i].at, rows[i].reason);
    }
}

static void what_a_clean_end_would_cut_ends_with_a_reset(void **state)
{
    struct deadline_facts f = facts(5000, 3000);

    (void)state;
    f.settled = false;
    expect(&f, DEADLINE_ABORT, NOW + 5000, REASON_IDLE);
    f.half_closed = true;
    expect(&f, DEADLINE_ABORT, NOW + 3000, REASON_HALF_CLOSE);
}

static void a_wait_ends_before_the_tunnel_does(void **state)
{
    struct deadline_facts f = facts(0, 0);

    (void)state;
    f.hurry = 400;
    expect(&f, DEADLINE_HURRY, NOW + 400, REASON_NONE);
    f.idle_timeout = 5000;
    expect(&f, DEADLINE_HURRY, NOW + 400, REASON_NONE);
    f.idle_timeout = 100;
    expect(&f, DEADLINE_HURRY, NOW + 100, REASON_NONE);
    f.hurry = 100;
    expect(&f, DEADLINE_HURRY, NOW + 100, REASON_NONE);
}

/* Open since NOW, for at most 10 s, with 4 s more to find a pause. */
static struct deadline_facts limited(int64_t last_activity)
{
    struct deadline_facts f = facts(0, 0);

    f.opened = NOW;
    f.last_activity = NOW + last_activity;
    f.max_lifetime = 10000;
    f.drain_timeout = 4000;
    f.sent = true;
    return f;
}

static void a_lifetime_ends_in_order_in_the_first_second_without_a_byte(void **state)
{
    static const struct {
        int64_t last_activity, at;
    } rows[] = {{0, 10000}, {9000, 10000}, {9001, 10001}, {10000, 11000}, {13000, 14000}};
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        const struct deadline_facts f = limited(rows[i].last_activity);

        expect(&f, DEADLINE_CLOSE, NOW + rows[i].at, REASON_LIFETIME);
    }
}

static void a_lifetime_without_such_a_second_ends_by_resets(void **state)
{
    struct deadline_facts f = limited(13001);

    (void)state;
    expect(&f, DEADLINE_ABORT, NOW + 14000, REASON_LIFETIME);
    f = limited(9001);
    f.drain_timeout = 0;
    expect(&f, DEADLINE_ABORT, NOW + 10000, REASON_LIFETIME);
    f = limited(9000);
    f.drain_timeout = 0;
    expect(&f, DEADLINE_CLOSE, NOW + 10000, REASON_LIFETIME);
}

static void the_end_of_a_lifetime_waits_for_what_a_clean_end_would_cut(void **state)
{
    struct deadline_facts f = limited(0);

    (void)state;
    f.settled = false;
    expect(&f, DEADLINE_ABORT, NOW + 14000, REASON_LIFETIME);
    f = limited(0);
    f.sent = false;
    expect(&f, DEADLINE_ABORT, NOW + 14000, REASON_LIFETIME);
    f = limited(12000);
    f.hurry = 400;
    expect(&f, DEADLINE_HURRY, NOW + 12400, REASON_NONE);
    f.last_activity = NOW + 13700;
    expect(&f, DEADLINE_ABORT, NOW + 14000, REASON_LIFETIME);
}

static void the_first_of_all_deadlines_gives_the_reason(void **state)
{
    struct deadline_facts f = limited(0);

    (void)state;
    f.idle_timeout = 9999;
    expect(&f, DEADLINE_CLOSE, NOW + 9999, REASON_IDLE);
    f.last_activity = NOW + 2;
    expect(&f, DEADLINE_CLOSE, NOW + 10000, REASON_LIFETIME);
    f.half_closed = true;
    f.half_close_timeout = 1000;
    expect(&f, DEADLINE_CLOSE, NOW + 1002, REASON_HALF_CLOSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_limits_there_is_no_deadline),
        cmocka_unit_test(silence_ends_a_tunnel_in_order),
        cmocka_unit_test(half_close_timeout_has_an_effect_after_a_half_close),
        cmocka_unit_test(the_shorter_timeout_gives_the_reason),
        cmocka_unit_test(what_a_clean_end_would_cut_ends_with_a_reset),
        cmocka_unit_test(a_wait_ends_before_the_tunnel_does),
        cmocka_unit_test(a_lifetime_ends_in_order_in_the_first_second_without_a_byte),
        cmocka_unit_test(a_lifetime_without_such_a_second_ends_by_resets),
        cmocka_unit_test(the_end_of_a_lifetime_waits_for_what_a_clean_end_would_cut),
        cmocka_unit_test(the_first_of_all_deadlines_gives_the_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
