/* net/dial: silent addresses delay others by a bounded time, with bounded descriptors. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dialing.h"
#include "net/attempts.h"

static void a_slow_address_does_not_delay_the_next(void **state)
{
    uint16_t silent, port;
    int fds[2], listener;
    struct dialing *c;

    (void)state;
    dialing_silence("127.0.0.1", &silent, fds);
    listener = dialing_listen("127.0.0.1", &port);
    c = dialing_new("unused.example", 1);
    dialing_add(c, "127.0.0.1", silent);
    dialing_add(c, "127.0.0.1", port);
    dialing_start(c);
    dialing_finish();
    dialing_assert_connected(listener, port);
    /* the slow one's descriptor is gone: see dialing_teardown() */
    close(listener);
    dialing_close(fds, 2);
}

/* Dials silent addresses, and counts the descriptors that it takes at once. */
static int most_at_once(int addresses, int64_t spare)
{
    int fds[2], before, now, most = 0, i;
    struct dialing *c;
    uint16_t silent;
    uint64_t until;

    dialing_silence("127.0.0.1", &silent, fds);
    attempts_set_spare(spare);
    c = dialing_new("unused.example", 1);
    for (i = 0; i < addresses; i++)
        dialing_add(c, "127.0.0.1", silent);
    before = dialing_descriptors();
    dialing_start(c);
    for (until = uv_hrtime() + 1200000000; uv_hrtime() < until; usleep(5000)) {
        uv_run(&dialing_thread.loop, UV_RUN_NOWAIT);
        now = dialing_descriptors() - before;
        most = now > most ? now : most;
    }
    assert_int_equal(dialing_result.calls, 0);
    transport_cancel(c->transport);
    dialing_forget(c);
    uv_run(&dialing_thread.loop, UV_RUN_DEFAULT);
    assert_int_equal(dialing_descriptors(), before);
    attempts_set_spare(INT64_MAX);
    dialing_close(fds, 2);
    return most;
}

static void at_most_three_addresses_are_tried_at_once(void **state)
{
    (void)state;
    assert_int_equal(most_at_once(8, INT64_MAX), 3);
}

static void attempts_beyond_the_first_count_against_the_spare(void **state)
{
    (void)state;
    assert_int_equal(most_at_once(8, 1), 2);
    assert_int_equal(most_at_once(8, 0), 1);
    /* and are given back */
    assert_int_equal(most_at_once(3, 2), 3);
}

static void an_address_behind_many_silent_ones_is_tried(int64_t spare)
{
    uint16_t silent, port;
    int fds[2], listener, i;
    struct dialing *c;

    attempts_set_spare(spare);
    dialing_silence("127.0.0.1", &silent, fds);
    listener = dialing_listen("127.0.0.1", &port);
    c = dialing_new("unused.example", 1);
    c->section->connect_timeout = 3000;
    for (i = 0; i < 5; i++)
        dialing_add(c, "127.0.0.1", silent);
    dialing_add(c, "127.0.0.1", port);
    dialing_start(c);
    dialing_finish();
    dialing_assert_connected(listener, port);
    attempts_set_spare(INT64_MAX);
    close(listener);
    dialing_close(fds, 2);
}

static void the_oldest_attempt_gives_way_to_the_next(void **state)
{
    (void)state;
    an_address_behind_many_silent_ones_is_tried(INT64_MAX);
}

static void a_single_attempt_gives_way(void **state)
{
    (void)state;
    an_address_behind_many_silent_ones_is_tried(0);
}

static void an_attempt_that_gave_way_is_in_the_detail(void **state)
{
    uint16_t silent, no;
    int fds[2], refused;
    struct dialing *c;

    (void)state;
    attempts_set_spare(0);
    dialing_silence("127.0.0.1", &silent, fds);
    refused = dialing_refuse("127.0.0.1", &no);
    c = dialing_new("unused.example", 1);
    dialing_add(c, "127.0.0.1", silent);
    dialing_add(c, "127.0.0.1", no);
    dialing_start(c);
    dialing_finish();
    dialing_assert_failed(REASON_CONNECT, ": no answer within 1");
    assert_contains(dialing_result.detail, ": Connection refused");
    attempts_set_spare(INT64_MAX);
    close(refused);
    dialing_close(fds, 2);
}

/*
 * One family that is silent does not come first with all of its addresses. The order of the others
 * depends on whether the families were looked up separately, as they are on a busy machine.
 */
static void families_are_tried_in_turn(void **state)
{
    static const char *const ips[] = {"::1", "127.0.0.1"};
    int fds[DIALING_ADDRESSES_MAX];
    const char *first, *second;
    struct dialing *c;
    uint16_t port;

    (void)state;
    if (access("/proc/net/if_inet6", F_OK) != 0)
        skip();
    dialing_bind_all(ips, COUNT(ips), &port, fds);
    names_set("both.example", "::1 ::1 ::1 127.0.0.1 127.0.0.1");
    c = dialing_new("both.example", port);
    dialing_start(c);
    dialing_finish();
    dialing_assert_failed(REASON_CONNECT, "[::1]:");
    first = dialing_result.detail;
    second = strchr(first, ';');
    assert_non_null(second);
    assert_true((first[0] == '[') != (second[2] == '['));
    dialing_close(fds, COUNT(ips));
}

/* Its first SYN is dropped; by the time of the second nobody listens any more. */
static void a_late_refusal_is_waited_for(void **state)
{
    struct dialing *c;
    uint16_t port;
    int silent[2];

    (void)state;
    dialing_silence("127.0.0.1", &port, silent);
    c = dialing_new("127.0.0.1", port);
    dialing_start(c);
    uv_run(&dialing_thread.loop, UV_RUN_ONCE);
    uv_run(&dialing_thread.loop, UV_RUN_NOWAIT);
    assert_int_equal(dialing_result.calls, 0);
    dialing_close(silent, 2);
    dialing_finish();
    dialing_assert_failed(REASON_CONNECT, "Connection refused");
}

/* The first is slow, the second is refused, and the name of the third is not found. */
static void a_failed_address_does_not_end_a_slow_one(void **state)
{
    uint16_t silent, no;
    int fds[2], refused, i, fd = -1;
    struct dialing *c;

    (void)state;
    names_set("nonexistent.invalid", NULL);
    dialing_silence("127.0.0.1", &silent, fds);
    refused = dialing_refuse("127.0.0.1", &no);
    c = dialing_new("unused.example", 1);
    dialing_add(c, "127.0.0.1", silent);
    dialing_add(c, "127.0.0.1", no);
    dialing_add(c, "nonexistent.invalid", 1);
    dialing_start(c);
    dialing_wait(1);
    for (i = 0; i < 3; i++)
        uv_run(&dialing_thread.loop, UV_RUN_NOWAIT);
    assert_int_equal(dialing_result.calls, 0);
    /* now there is room: the kernel tries again */
    while (dialing_result.calls == 0) {
        if (fd < 0)
            fd = accept(fds[0], NULL, NULL);
        uv_run(&dialing_thread.loop, UV_RUN_ONCE);
    }
    dialing_finish();
    dialing_assert_connected(fds[0], silent);
    close(fd);
    close(refused);
    dialing_close(fds, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DIALING_TEST(a_slow_address_does_not_delay_the_next),
        DIALING_TEST(at_most_three_addresses_are_tried_at_once),
        DIALING_TEST(attempts_beyond_the_first_count_against_the_spare),
        DIALING_TEST(the_oldest_attempt_gives_way_to_the_next),
        DIALING_TEST(a_single_attempt_gives_way),
        DIALING_TEST(an_attempt_that_gave_way_is_in_the_detail),
        DIALING_TEST(families_are_tried_in_turn),
        DIALING_TEST(a_late_refusal_is_waited_for),
        DIALING_TEST(a_failed_address_does_not_end_a_slow_one),
    };

    return cmocka_run_group_tests(tests, dialing_group_setup, names_group_teardown);
}
