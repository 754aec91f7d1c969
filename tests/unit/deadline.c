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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_limits_there_is_no_deadline),
        cmocka_unit_test(silence_ends_a_tunnel_in_order),
        cmocka_unit_test(half_close_timeout_has_an_effect_after_a_half_close),
        cmocka_unit_test(the_shorter_timeout_gives_the_reason),
        cmocka_unit_test(what_a_clean_end_would_cut_ends_with_a_reset),
        cmocka_unit_test(a_wait_ends_before_the_tunnel_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
