/* net/endpoint: one stream. Nothing is lost between a write and its landing, nor sent twice. */
#include "net/endpoint.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sock.h"
#include "help.h"

#define BIG ((size_t)4 * 1024 * 1024)

/* An endpoint, the peer's descriptor, and what has been seen. */
struct bench {
    uv_loop_t loop;
    struct endpoint ep;
    int peer;
    uint8_t buffer[65536];
    uint8_t got[65536];
    size_t got_len;
    int changed;
    int closed;
};

static struct bench *bench_of(struct endpoint *ep)
{
    return (struct bench *)((char *)ep - offsetof(struct bench, ep));
}

static void on_read(struct endpoint *ep, const uint8_t *bytes, size_t n)
{
    struct bench *b = bench_of(ep);

    assert_true(b->got_len + n <= sizeof(b->got));
    memcpy(b->got + b->got_len, bytes, n);
    b->got_len += n;
}

static void on_changed(struct endpoint *ep)
{
    bench_of(ep)->changed++;
}

static void on_closed(struct endpoint *ep)
{
    bench_of(ep)->closed++;
}

static const struct endpoint_events events = {on_read, on_changed, on_closed};

static void tcp_pair(int pair[2])
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(listener, (struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&in, &len), 0);
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(pair[0], (struct sockaddr *)&in, sizeof(in)), 0);
    pair[1] = accept(listener, NULL, NULL);
    assert_true(pair[1] >= 0);
    close(listener);
}

static struct bench *start(bool tcp)
{
    struct bench *b = calloc(1, sizeof(*b));
    int pair[2];

    assert_non_null(b);
    if (tcp)
        tcp_pair(pair);
    else
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(uv_loop_init(&b->loop), 0);
    b->peer = pair[1];
    endpoint_open(&b->ep, &b->loop, pair[0], tcp, &events, b->buffer, sizeof(b->buffer));
    assert_int_equal(b->ep.error, 0);
    return b;
}

static void end(struct bench *b)
{
    endpoint_close(&b->ep, false);
    endpoint_close(&b->ep, true); /* twice is once */
    uv_run(&b->loop, UV_RUN_DEFAULT);
    assert_int_equal(b->closed, 1);
    assert_int_equal(uv_loop_close(&b->loop), 0);
    if (b->peer >= 0)
        close(b->peer);
    free(b);
}

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 31 + i / 251);
}

/* Reads from the peer what the endpoint sends, turning the loop meanwhile. */
static size_t drain(struct bench *b, size_t want)
{
    static uint8_t part[65536];
    size_t total = 0;
    int idle = 0;

    while (total < want && idle < 100000) {
        ssize_t n = recv(b->peer, part, sizeof(part), MSG_DONTWAIT), i;

        if (n <= 0) {
            idle++;
            uv_run(&b->loop, UV_RUN_NOWAIT);
            continue;
        }
        idle = 0;
        for (i = 0; i < n; i++)
            assert_int_equal(part[i], pattern(total + (size_t)i));
        total += (size_t)n;
    }
    return total;
}

static void what_the_kernel_refuses_lands_later_in_order(void **state)
{
    struct bench *b = start(*(bool *)*state);
    uint8_t *bytes = malloc(BIG + 1000);
    size_t i;

    for (i = 0; i < BIG + 1000; i++)
        bytes[i] = pattern(i);
    assert_true(endpoint_is_idle(&b->ep));
    endpoint_write(&b->ep, bytes, BIG);
    assert_false(endpoint_is_idle(&b->ep));
    /* what comes meanwhile queues behind, twice */
    endpoint_write(&b->ep, bytes + BIG, 600);
    endpoint_write(&b->ep, bytes + BIG + 600, 400);
    /* FIN comes last of all */
    endpoint_finish(&b->ep);
    assert_false(b->ep.finished);
    memset(bytes, 0, BIG); /* it was copied */
    free(bytes);
    assert_int_equal(drain(b, BIG + 1000), BIG + 1000);
    while (!endpoint_is_idle(&b->ep))
        uv_run(&b->loop, UV_RUN_ONCE);
    assert_true(b->ep.finished);
    assert_true(b->changed > 0);
    assert_int_equal(recv(b->peer, &i, 1, 0), 0);
    end(b);
}

static void what_the_kernel_takes_at_once_is_not_copied(void **state)
{
    struct bench *b = start(*(bool *)*state);
    char text[8] = "";

    endpoint_write(&b->ep, (const uint8_t *)"hello", 5);
    assert_true(endpoint_is_idle(&b->ep));
    assert_null(b->ep.in_flight);
    assert_int_equal(recv(b->peer, text, sizeof(text), 0), 5);
    assert_string_equal(text, "hello");
    end(b);
}

static void nothing_is_read_that_is_not_wanted(void **state)
{
    struct bench *b = start(*(bool *)*state);

    assert_int_equal(send(b->peer, "abc", 3, 0), 3);
    uv_run(&b->loop, UV_RUN_NOWAIT);
    assert_int_equal(b->got_len, 0);
    endpoint_want_read(&b->ep, true);
    while (b->got_len < 3)
        uv_run(&b->loop, UV_RUN_ONCE);
    assert_memory_equal(b->got, "abc", 3);
    endpoint_want_read(&b->ep, false);
    assert_int_equal(send(b->peer, "d", 1, 0), 1);
    uv_run(&b->loop, UV_RUN_NOWAIT);
    assert_int_equal(b->got_len, 3);
    end(b);
}

static void the_peers_end_is_an_end_and_not_an_error(void **state)
{
    struct bench *b = start(*(bool *)*state);

    shutdown(b->peer, SHUT_WR);
    endpoint_want_read(&b->ep, true);
    while (!b->ep.ended)
        uv_run(&b->loop, UV_RUN_ONCE);
    assert_int_equal(b->ep.error, 0);
    assert_int_equal(b->changed, 1);
    /* to read on is not possible; to write is */
    endpoint_want_read(&b->ep, true);
    assert_false(b->ep.reading);
    endpoint_write(&b->ep, (const uint8_t *)"x", 1);
    assert_int_equal(b->ep.write_error, 0);
    end(b);
}

static void a_write_to_nobody_leaves_reading_possible(void **state)
{
    struct bench *b = start(*(bool *)*state);
    int i;

    assert_int_equal(send(b->peer, "last words", 10, 0), 10);
    close(b->peer);
    b->peer = -1;
    for (i = 0; i < 1000 && !b->ep.write_error; i++)
        endpoint_write(&b->ep, (const uint8_t *)"x", 1);
    assert_true(b->ep.write_error < 0);
    assert_int_equal(b->ep.error, 0);
    endpoint_want_read(&b->ep, true);
    while (!b->ep.ended && !b->ep.error)
        uv_run(&b->loop, UV_RUN_ONCE);
    assert_int_equal(b->got_len, 10);
    end(b);
}

static void closing_with_a_reset_resets(void **state)
{
    struct bench *b = start(true);
    char byte;

    (void)state;
    endpoint_close(&b->ep, true);
    assert_int_equal(recv(b->peer, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    end(b);
}

static void closing_without_one_does_not(void **state)
{
    struct bench *b = start(true);
    char byte;

    (void)state;
    endpoint_close(&b->ep, false);
    assert_int_equal(recv(b->peer, &byte, 1, 0), 0);
    end(b);
}

static void a_write_in_flight_is_cancelled_by_a_close(void **state)
{
    struct bench *b = start(*(bool *)*state);
    uint8_t *bytes = calloc(1, BIG);

    endpoint_write(&b->ep, bytes, BIG);
    endpoint_write(&b->ep, bytes, 10);
    free(bytes);
    assert_false(endpoint_is_idle(&b->ep));
    end(b);
}

static void a_peer_that_is_gone_is_noticed_without_reading(void **state)
{
    struct bench *b = start(*(bool *)*state);

    assert_false(endpoint_is_gone(&b->ep));
    if (b->ep.is_tcp)
        sock_close_reset(b->peer);
    else
        close(b->peer);
    b->peer = -1;
    assert_true(endpoint_is_gone(&b->ep));
    end(b);
}

static void a_peer_that_has_finished_sending_is_not_gone(void **state)
{
    struct bench *b = start(*(bool *)*state);

    shutdown(b->peer, SHUT_WR);
    assert_false(endpoint_is_gone(&b->ep));
    end(b);
}

static void bytes_that_the_peer_did_not_take_are_counted(void **state)
{
    struct bench *b = start(true);
    uint8_t *bytes = calloc(1, BIG);

    (void)state;
    endpoint_write(&b->ep, bytes, BIG);
    free(bytes);
    assert_true(endpoint_unsent(&b->ep) > 0);
    end(b);
}

static void a_descriptor_that_is_none_is_told(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    const int fd = 987; /* nobody's */

    (void)state;
    assert_int_equal(uv_loop_init(&b->loop), 0);
    b->peer = -1;
    endpoint_open(&b->ep, &b->loop, fd, true, &events, b->buffer, sizeof(b->buffer));
    assert_true(b->ep.error < 0);
    endpoint_want_read(&b->ep, true);
    assert_false(b->ep.reading);
    end(b);
}

int main(void)
{
    static bool tcp = true, local = false;
#define BOTH(test)                                                                                 \
    {#test " (TCP)", test, NULL, NULL, &tcp},                                                      \
    {                                                                                              \
#test " (Unix)", test, NULL, NULL, &local                                                  \
    }
    const struct CMUnitTest tests[] = {
        BOTH(what_the_kernel_refuses_lands_later_in_order),
        BOTH(what_the_kernel_takes_at_once_is_not_copied),
        BOTH(nothing_is_read_that_is_not_wanted),
        BOTH(the_peers_end_is_an_end_and_not_an_error),
        BOTH(a_write_to_nobody_leaves_reading_possible),
        BOTH(a_write_in_flight_is_cancelled_by_a_close),
        BOTH(a_peer_that_is_gone_is_noticed_without_reading),
        BOTH(a_peer_that_has_finished_sending_is_not_gone),
        cmocka_unit_test(closing_with_a_reset_resets),
        cmocka_unit_test(closing_without_one_does_not),
        cmocka_unit_test(bytes_that_the_peer_did_not_take_are_counted),
        cmocka_unit_test(a_descriptor_that_is_none_is_told),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
