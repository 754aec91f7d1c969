/* net/dial: after a cancel nobody is called, and every descriptor is closed. */
#include <sys/socket.h>
#include <unistd.h>

#include "dialing.h"

/* Cancels, and lets the owner and the section go at once. */
static void cancel(struct dialing *c)
{
    transport_cancel(c->transport);
    dialing_forget(c);
    uv_run(&dialing_thread.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_alive(&dialing_thread.loop), 0);
    assert_int_equal(dialing_result.calls, 0);
}

static void a_cancel_before_the_loop_runs_calls_nobody(void **state)
{
    struct dialing *c;

    (void)state;
    c = dialing_new("127.0.0.1", 1);
    dialing_start(c);
    cancel(c);
    transport_cancel(NULL);
}

static void a_cancel_during_the_look_up_calls_nobody(void **state)
{
    struct dialing *c;

    (void)state;
    names_set("a.example", "127.0.0.1");
    names_hold();
    c = dialing_new("a.example", 1);
    dialing_start(c);
    dialing_wait(1);
    transport_cancel(c->transport);
    dialing_forget(c);
    uv_run(&dialing_thread.loop, UV_RUN_NOWAIT); /* the dial is gone, the look-up is not */
    names_release();
    uv_run(&dialing_thread.loop, UV_RUN_DEFAULT);
    assert_int_equal(dialing_result.calls, 0);
}

static void a_cancel_while_the_look_up_waits_calls_nobody(void **state)
{
    struct dialing *c[8];
    char host[32];
    size_t i;

    (void)state;
    names_hold();
    for (i = 0; i < COUNT(c); i++) {
        snprintf(host, sizeof(host), "h%zu.example", i);
        names_set(host, "127.0.0.1");
        c[i] = dialing_new(host, 1);
        dialing_start(c[i]);
    }
    dialing_wait(COUNT(c)); /* none begins in the next test */
    for (i = 0; i < COUNT(c); i++) {
        transport_cancel(c[i]->transport);
        dialing_forget(c[i]);
    }
    names_release();
    uv_run(&dialing_thread.loop, UV_RUN_DEFAULT);
    assert_int_equal(dialing_result.calls, 0);
}

static void a_cancel_while_connecting_calls_nobody(void **state)
{
    struct dialing *c;
    uint16_t silent;
    int fds[2], i;

    (void)state;
    dialing_silence("127.0.0.1", &silent, fds);
    c = dialing_new("127.0.0.1", silent);
    dialing_start(c);
    for (i = 0; i < 10; i++)
        uv_run(&dialing_thread.loop, UV_RUN_NOWAIT);
    assert_int_equal(dialing_descriptors(), dialing_before + 3);
    cancel(c);
    dialing_close(fds, 2);
}

static void a_cancel_with_two_addresses_under_way_calls_nobody(void **state)
{
    uint16_t first, second;
    int a[2], b[2];
    struct dialing *c;

    (void)state;
    dialing_silence("127.0.0.1", &first, a);
    dialing_silence("127.0.0.2", &second, b);
    c = dialing_new("unused.example", 1);
    dialing_add(c, "127.0.0.1", first);
    dialing_add(c, "127.0.0.2", second);
    dialing_add(c, "a.example", 1);
    names_set("a.example", "127.0.0.1");
    names_hold();
    dialing_start(c);
    dialing_wait(1); /* by then both are under way, and the third is looked up */
    assert_int_equal(dialing_descriptors(), dialing_before + 6);
    transport_cancel(c->transport);
    dialing_forget(c);
    assert_int_equal(dialing_descriptors(), dialing_before + 4);
    names_release();
    uv_run(&dialing_thread.loop, UV_RUN_DEFAULT);
    assert_int_equal(dialing_result.calls, 0);
    dialing_close(a, 2);
    dialing_close(b, 2);
}

/* The kernel has connected already; the loop has not said so. */
static void a_cancel_after_the_connect_calls_nobody(void **state)
{
    struct dialing *c;
    uint16_t port;
    int listener, fd = -1;
    char byte;

    (void)state;
    listener = dialing_listen("127.0.0.1", &port);
    c = dialing_new("127.0.0.1", port);
    dialing_start(c);
    while (fd < 0 && dialing_result.calls == 0) {
        fd = accept(listener, NULL, NULL);
        if (fd < 0)
            uv_run(&dialing_thread.loop, UV_RUN_NOWAIT);
    }
    if (dialing_result.calls) /* it was quicker: nothing is left to be cancelled */
        close(dialing_result.fd);
    else
        cancel(c);
    if (fd >= 0)
        assert_int_equal(read(fd, &byte, 1), 0);
    close(fd);
    close(listener);
}

/* Two at once, one of which goes: the other must not notice. */
static void a_cancel_leaves_other_dials_alone(void **state)
{
    struct dialing *a, *b;
    uint16_t port;
    int listener;

    (void)state;
    listener = dialing_listen("127.0.0.1", &port);
    names_set("a.example", "127.0.0.1");
    names_hold();
    a = dialing_new("a.example", port);
    b = dialing_new("a.example", port);
    dialing_start(a);
    dialing_start(b);
    dialing_wait(1);
    transport_cancel(a->transport);
    dialing_forget(a);
    names_release();
    dialing_finish();
    dialing_assert_connected(listener, port);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DIALING_TEST(a_cancel_before_the_loop_runs_calls_nobody),
        DIALING_TEST(a_cancel_during_the_look_up_calls_nobody),
        DIALING_TEST(a_cancel_while_the_look_up_waits_calls_nobody),
        DIALING_TEST(a_cancel_while_connecting_calls_nobody),
        DIALING_TEST(a_cancel_with_two_addresses_under_way_calls_nobody),
        DIALING_TEST(a_cancel_after_the_connect_calls_nobody),
        DIALING_TEST(a_cancel_leaves_other_dials_alone),
    };

    return cmocka_run_group_tests(tests, dialing_group_setup, names_group_teardown);
}
