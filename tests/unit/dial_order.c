/* net/dial: addresses that did not connect lately come last, and none is left out. */
#include <sys/socket.h>
#include <unistd.h>

#include "dialing.h"
#include "net/unreachable.h"

static struct addr local(uint16_t port)
{
    struct addr a;

    assert_true(addr_from_ip(&a, "127.0.0.1", port));
    return a;
}

static bool is_remembered(uint16_t port)
{
    const struct addr a = local(port);

    return unreachable_has(&a, uv_now(&dialing_thread.loop));
}

/* Dials two ports of this machine, in this order. */
static void dial_both(uint16_t first, uint16_t second)
{
    struct dialing *c = dialing_new("unused.example", 1);

    dialing_add(c, "127.0.0.1", first);
    dialing_add(c, "127.0.0.1", second);
    dialing_start(c);
    dialing_finish();
}

static void an_address_that_refused_is_tried_last(void **state)
{
    int refused, listener;
    uint16_t no, port;

    (void)state;
    refused = dialing_refuse("127.0.0.1", &no);
    listener = dialing_listen("127.0.0.1", &port);
    dial_both(no, port);
    dialing_assert_connected(listener, port);
    assert_true(is_remembered(no));
    assert_false(is_remembered(port));
    /* now it would connect, and the other one is used all the same */
    assert_int_equal(listen(refused, 8), 0);
    dial_both(no, port);
    dialing_assert_connected(listener, port);
    /* a new configuration is applied */
    unreachable_clear();
    dial_both(no, port);
    dialing_assert_connected(refused, no);
    close(refused);
    close(listener);
}

static void an_address_that_let_the_next_one_win_is_tried_last(void **state)
{
    int fds[2], listener, held;
    uint16_t silent, port;

    (void)state;
    dialing_silence("127.0.0.1", &silent, fds);
    listener = dialing_listen("127.0.0.1", &port);
    dial_both(silent, port);
    dialing_assert_connected(listener, port);
    assert_true(is_remembered(silent));
    held = accept(fds[0], NULL, NULL); /* it would answer again */
    dial_both(silent, port);
    dialing_assert_connected(listener, port);
    close(held);
    close(listener);
    dialing_close(fds, 2);
}

static void an_address_that_failed_is_not_left_out(void **state)
{
    int refused, other;
    uint16_t no, none;

    (void)state;
    refused = dialing_refuse("127.0.0.1", &no);
    other = dialing_refuse("127.0.0.1", &none);
    dial_both(no, none);
    dialing_assert_failed(REASON_CONNECT, "Connection refused");
    assert_true(is_remembered(no) && is_remembered(none));
    assert_int_equal(listen(other, 8), 0);
    dial_both(no, none);
    dialing_assert_connected(other, none);
    assert_true(is_remembered(no));
    assert_false(is_remembered(none)); /* it has connected */
    close(refused);
    close(other);
}

static void an_address_of_a_name_is_remembered_too(void **state)
{
    static const char *const ips[] = {"127.0.0.1", "127.0.0.2"};
    int fds[DIALING_ADDRESSES_MAX], i;
    struct dialing *c;
    uint16_t port;

    (void)state;
    dialing_bind_all(ips, COUNT(ips), &port, fds);
    assert_int_equal(listen(fds[1], 8), 0);
    names_set("a.example", "127.0.0.1 127.0.0.2");
    for (i = 0; i < 2; i++) {
        c = dialing_new("a.example", port);
        dialing_start(c);
        dialing_finish();
        dialing_assert_connected(fds[1], port);
        assert_int_equal(listen(fds[0], 8), 0);
    }
    assert_int_equal(accept(fds[0], NULL, NULL), -1);
    dialing_close(fds, COUNT(ips));
}

/* What this machine lacks says nothing of the address. */
static void a_local_failure_is_not_remembered(void **state)
{
    struct dialing *c;
    uint16_t port;
    int listener;

    (void)state;
    listener = dialing_listen("127.0.0.1", &port);
    c = dialing_new("127.0.0.1", port);
    assert_true(addr_from_ip(&c->section->bind, "192.0.2.1", 0));
    dialing_start(c);
    dialing_finish();
    dialing_assert_failed(REASON_CONNECT, "Cannot assign requested address");
    assert_false(is_remembered(port));
    close(listener);
}

/* A client that leaves early says nothing of the server. */
static void a_cancelled_dial_remembers_nothing_at_first(void **state)
{
    struct dialing *c;
    uint16_t silent;
    int fds[2];

    (void)state;
    dialing_silence("127.0.0.1", &silent, fds);
    c = dialing_new("127.0.0.1", silent);
    dialing_start(c);
    uv_run(&dialing_thread.loop, UV_RUN_ONCE);
    transport_cancel(c->transport);
    dialing_forget(c);
    uv_run(&dialing_thread.loop, UV_RUN_DEFAULT);
    assert_false(is_remembered(silent));
    dialing_close(fds, 2);
}

/* As at the end of connect_timeout. */
static void a_dial_that_is_cancelled_late_remembers_who_was_silent(void **state)
{
    struct dialing *c;
    uint16_t silent;
    int fds[2], i;

    (void)state;
    dialing_silence("127.0.0.1", &silent, fds);
    c = dialing_new("127.0.0.1", silent);
    dialing_start(c);
    for (i = 0; i < 3; i++)
        uv_run(&dialing_thread.loop, UV_RUN_NOWAIT);
    dialing_thread.loop.time += 2000;
    transport_cancel(c->transport);
    assert_true(is_remembered(silent));
    dialing_forget(c);
    uv_run(&dialing_thread.loop, UV_RUN_DEFAULT);
    dialing_close(fds, 2);
}

static void a_silent_name_does_not_hold_up_the_next_address(void **state)
{
    struct dialing *c;
    uint16_t port;
    int listener;

    (void)state;
    listener = dialing_listen("127.0.0.1", &port);
    names_set("a.example", "127.0.0.1");
    names_hold();
    c = dialing_new("unused.example", 1);
    dialing_add(c, "a.example", 1);
    dialing_add(c, "127.0.0.1", port);
    dialing_start(c);
    dialing_finish();
    dialing_assert_connected(listener, port);
    names_release();
    close(listener);
}

/* It was looked up for a moment longer, and comes before the targets behind it. */
static void a_late_answer_keeps_its_place(void **state)
{
    int fds[2], listener, refused;
    uint16_t silent, port, no;
    struct dialing *c;

    (void)state;
    dialing_silence("127.0.0.1", &silent, fds);
    refused = dialing_refuse("127.0.0.1", &no);
    listener = dialing_listen("127.0.0.1", &port);
    names_set("a.example", "127.0.0.1");
    names_hold();
    c = dialing_new("unused.example", 1);
    dialing_add(c, "a.example", port);
    dialing_add(c, "127.0.0.1", silent);
    dialing_add(c, "127.0.0.1", no);
    dialing_start(c);
    dialing_wait(1);
    while (dialing_descriptors() < dialing_before + 5) /* the silent one is being tried */
        uv_run(&dialing_thread.loop, UV_RUN_ONCE);
    names_release();
    dialing_finish();
    dialing_assert_connected(listener, port);
    close(listener);
    close(refused);
    dialing_close(fds, 2);
}

/* Everything that can be tried is tried, while a look-up is silent. */
static void a_failed_address_is_tried_beside_a_silent_name(void **state)
{
    struct dialing *c;
    struct addr a;
    uint16_t port;
    int listener;

    (void)state;
    listener = dialing_listen("127.0.0.1", &port);
    a = local(port);
    unreachable_note(&a, uv_now(&dialing_thread.loop));
    names_set("a.example", "127.0.0.1");
    names_hold();
    c = dialing_new("unused.example", 1);
    dialing_add(c, "127.0.0.1", port);
    dialing_add(c, "a.example", 1);
    dialing_start(c);
    dialing_finish();
    dialing_assert_connected(listener, port);
    names_release();
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DIALING_TEST(an_address_that_refused_is_tried_last),
        DIALING_TEST(an_address_that_let_the_next_one_win_is_tried_last),
        DIALING_TEST(an_address_that_failed_is_not_left_out),
        DIALING_TEST(an_address_of_a_name_is_remembered_too),
        DIALING_TEST(a_local_failure_is_not_remembered),
        DIALING_TEST(a_cancelled_dial_remembers_nothing_at_first),
        DIALING_TEST(a_dial_that_is_cancelled_late_remembers_who_was_silent),
        DIALING_TEST(a_silent_name_does_not_hold_up_the_next_address),
        DIALING_TEST(a_late_answer_keeps_its_place),
        DIALING_TEST(a_failed_address_is_tried_beside_a_silent_name),
    };

    return cmocka_run_group_tests(tests, dialing_group_setup, names_group_teardown);
}
