/* net/endpoint: every byte arrives once and in its order; nothing is called after closed. */
#include "net/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "endpoints.h"

/* Everything is reported at once; in a slow run a tick has found all acknowledged meanwhile. */
static void assert_told_once(const struct pair *p)
{
    assert_between((uintmax_t)p->changes, 1, 2);
}

static void what_the_kernel_takes_at_once_is_not_held(void **state)
{
    struct pair *p = *state;
    char text[8];

    endpoint_write(p->ep, (const uint8_t *)"hello", 5);
    assert_true(endpoint_is_idle(p->ep));
    assert_int_equal(read(p->peer, text, sizeof(text)), 5);
    assert_memory_equal(text, "hello", 5);
    endpoint_write(p->ep, NULL, 0);
    assert_true(endpoint_is_idle(p->ep));
    assert_int_equal(p->ep->write_error, 0);
    pair_end(p);
    assert_int_equal(p->changes, 0);
}

static void what_the_kernel_does_not_take_at_once_is_written_later(void **state)
{
    struct pair *p = *state;
    uint8_t *sent = malloc(PAIR_BULK), *got = malloc(PAIR_BULK);

    memcpy(sent, pair_bulk, PAIR_BULK);
    endpoint_write(p->ep, sent, PAIR_BULK);
    assert_false(endpoint_is_idle(p->ep));
    memset(sent, 0, PAIR_BULK); /* the caller's again */
    assert_between(endpoints_hold(), 1, PAIR_BULK - 1);
    assert_int_equal(p->changes, 0);
    assert_int_equal(pair_drain(p, got, PAIR_BULK), PAIR_BULK);
    assert_memory_equal(got, pair_bulk, PAIR_BULK);
    while (!endpoint_is_idle(p->ep))
        pair_turn();
    assert_told_once(p);
    assert_true(p->was_idle);
    assert_int_equal(p->ep->write_error, 0);
    pair_end(p);
    free(sent);
    free(got);
}

static void what_is_written_behind_bulk_follows_it(void **state)
{
    struct pair *p = *state;
    uint8_t *got = malloc(PAIR_BULK + 6), word[] = "ab";

    endpoint_write(p->ep, pair_bulk, PAIR_BULK);
    endpoint_write(p->ep, word, 2);
    memcpy(word, "cd", 2);
    endpoint_write(p->ep, word, 2);
    memcpy(word, "ef", 2);
    endpoint_write(p->ep, word, 2);
    memset(word, 0, 2);
    assert_false(endpoint_is_idle(p->ep));
    assert_between(endpoints_hold(), 7, PAIR_BULK + 5);
    assert_int_equal(pair_drain(p, got, PAIR_BULK + 6), PAIR_BULK + 6);
    assert_memory_equal(got, pair_bulk, PAIR_BULK);
    assert_memory_equal(got + PAIR_BULK, "abcdef", 6);
    while (!endpoint_is_idle(p->ep))
        pair_turn();
    assert_told_once(p);
    assert_true(p->was_idle);
    /* and the queue is as good as new */
    endpoint_write(p->ep, (const uint8_t *)"gh", 2);
    assert_int_equal(pair_drain(p, got, 2), 2);
    assert_memory_equal(got, "gh", 2);
    pair_end(p);
    free(got);
}

/* More than fits is queued behind what is in flight: it has to be cut in its turn. */
static void a_long_queue_is_written_whole(void **state)
{
    struct pair *p = *state;
    uint8_t *got = malloc(2 * PAIR_BULK);

    endpoint_write(p->ep, pair_bulk, PAIR_BULK);
    endpoint_write(p->ep, pair_bulk, PAIR_BULK / 2);
    endpoint_write(p->ep, pair_bulk + PAIR_BULK / 2, PAIR_BULK / 2);
    endpoint_shutdown(p->ep);
    assert_int_equal(pair_drain(p, got, 2 * PAIR_BULK), 2 * PAIR_BULK);
    assert_memory_equal(got, pair_bulk, PAIR_BULK);
    assert_memory_equal(got + PAIR_BULK, pair_bulk, PAIR_BULK);
    assert_int_equal(pair_drain(p, got, 1), 0);
    pair_end(p);
    free(got);
}

static void a_fin_follows_what_is_being_written(void **state)
{
    struct pair *p = *state;
    uint8_t *got = malloc(PAIR_BULK + 10);

    endpoint_write(p->ep, pair_bulk, PAIR_BULK);
    endpoint_write(p->ep, (const uint8_t *)"end", 3);
    endpoint_shutdown(p->ep);
    endpoint_shutdown(p->ep);
    assert_true(p->ep->fin_wanted);
    assert_false(p->ep->fin_sent);
    assert_int_equal(pair_drain(p, got, PAIR_BULK + 10), PAIR_BULK + 3);
    assert_memory_equal(got, pair_bulk, PAIR_BULK);
    assert_memory_equal(got + PAIR_BULK, "end", 3);
    while (!endpoint_is_idle(p->ep))
        pair_turn();
    assert_true(p->ep->fin_sent);
    assert_told_once(p);
    pair_end(p);
    free(got);
}

static void a_finished_stream_is_still_read(void **state)
{
    struct pair *p = *state;
    char text[8];

    endpoint_write(p->ep, (const uint8_t *)"ask", 3);
    endpoint_shutdown(p->ep);
    assert_true(p->ep->fin_sent);
    assert_int_equal(read(p->peer, text, sizeof(text)), 3);
    assert_int_equal(read(p->peer, text, sizeof(text)), 0);
    assert_int_equal(write(p->peer, "answer", 6), 6);
    endpoint_want_read(p->ep, true);
    while (p->n < 6)
        pair_turn();
    assert_memory_equal(p->bytes, "answer", 6);
    assert_false(p->ep->eof);
}

static void the_peers_fin_leaves_writing_open(void **state)
{
    struct pair *p = *state;
    char text[8];

    endpoint_want_read(p->ep, true);
    assert_int_equal(write(p->peer, "last", 4), 4);
    assert_int_equal(shutdown(p->peer, SHUT_WR), 0);
    while (!p->ep->eof)
        pair_turn();
    assert_int_equal(p->n, 4);
    assert_memory_equal(p->bytes, "last", 4);
    assert_int_equal(p->changes, 1);
    assert_int_equal(p->ep->error, 0);
    assert_false(p->ep->reading);
    endpoint_want_read(p->ep, true); /* or it would be told of the FIN for ever */
    assert_false(p->ep->reading);
    endpoint_write(p->ep, (const uint8_t *)"still", 5);
    assert_int_equal(p->ep->write_error, 0);
    assert_int_equal(read(p->peer, text, sizeof(text)), 5);
    pair_end(p);
    assert_int_equal(p->changes, 1);
}

/* Each read event is the last until reading is wanted again; the rest stays in the kernel. */
static void no_bytes_come_while_none_are_wanted(void **state)
{
    struct pair *p = *state;
    const size_t n = TLS_TURN_SIZE + 1000;
    size_t sent = 0;

    assert_int_equal(fcntl(p->peer, F_SETFL, O_NONBLOCK), 0);
    p->stop_reading = true;
    while (p->n < n) {
        const int reads = p->reads;

        while (sent < n) {
            ssize_t w = write(p->peer, pair_bulk + sent, n - sent);

            if (w < 0)
                break;
            sent += (size_t)w;
        }
        pair_wait();
        assert_int_equal(p->reads, reads); /* not wanted */
        endpoint_want_read(p->ep, true);
        while (p->reads == reads)
            pair_turn();
        pair_wait();
        assert_int_equal(p->reads, reads + 1);
        assert_false(p->ep->reading);
    }
    assert_int_equal(p->n, n);
    assert_memory_equal(p->bytes, pair_bulk, n);
}

static void a_close_with_reset_is_a_reset(void **state)
{
    struct pair *p = *state;
    char c;

    endpoint_close(p->ep, true);
    pair_end(p);
    assert_int_equal(read(p->peer, &c, 1), -1);
    assert_int_equal(errno, ECONNRESET);
}

static void a_close_without_reset_is_a_clean_end(void **state)
{
    struct pair *p = *state;
    char c;

    endpoint_close(p->ep, false);
    pair_end(p);
    assert_int_equal(read(p->peer, &c, 1), 0);
}

static void a_unix_socket_is_closed_where_tcp_is_reset(void **state)
{
    struct pair *p = *state;
    char c;

    endpoint_close(p->ep, true);
    pair_end(p);
    assert_int_equal(read(p->peer, &c, 1), 0);
}

static void a_close_frees_what_was_being_written(void **state)
{
    struct pair *p = *state;

    endpoint_want_read(p->ep, true);
    endpoint_write(p->ep, pair_bulk, PAIR_BULK);
    endpoint_write(p->ep, pair_bulk, 1000);
    endpoint_shutdown(p->ep);
    assert_false(endpoint_is_idle(p->ep));
    endpoint_close(p->ep, p->kind == STREAM_TCP);
    assert_false(p->ep->open);
    /* any more of this is harmless until the closed event */
    endpoint_close(p->ep, p->kind != STREAM_TCP);
    endpoint_write(p->ep, pair_bulk, 10);
    endpoint_shutdown(p->ep);
    endpoint_want_read(p->ep, true);
    assert_false(endpoint_is_gone(p->ep));
    assert_int_equal(endpoint_unsent(p->ep), 0);
    assert_int_equal(p->closings, 0);
    pair_end(p);
    assert_int_equal(p->changes, 0);
}

static void a_close_in_a_read_event_is_the_last_event(void **state)
{
    struct pair *p = *state;

    p->close_in_read = true;
    endpoint_want_read(p->ep, true);
    /* more than one event would bring, and a FIN */
    assert_true(write(p->peer, pair_bulk, TLS_TURN_SIZE + 1) > 0);
    assert_int_equal(shutdown(p->peer, SHUT_WR), 0);
    while (p->reads == 0)
        pair_turn();
    pair_end(p);
    assert_int_equal(p->reads, 1);
    assert_int_equal(p->changes, 0);
}

/* Nothing is polled, and no timer wakes the thread. */
static void an_idle_endpoint_is_not_polled(void **state)
{
    struct pair *p = *state;
    char text[8];

    endpoint_want_read(p->ep, true);
    endpoint_write(p->ep, (const uint8_t *)"hello", 5);
    assert_int_equal(read(p->peer, text, sizeof(text)), 5);
    while (pair_thread.watch.count > 0)
        pair_turn();
    while (uv_is_active((uv_handle_t *)&pair_thread.watch.timer))
        pair_turn();
    assert_false(p->ep->unacked);
    assert_int_equal(p->ep->error, 0);
}

static void what_the_kernel_holds_is_not_delivered(void **state)
{
    struct pair *p = *state;
    uint8_t *got = malloc(PAIR_BULK);

    assert_int_equal(endpoint_unsent(p->ep), 0);
    endpoint_write(p->ep, pair_bulk, PAIR_BULK);
    assert_true(endpoint_unsent(p->ep) > 0);
    assert_int_equal(pair_drain(p, got, PAIR_BULK), PAIR_BULK);
    while (!endpoint_is_idle(p->ep))
        pair_turn();
    while (endpoint_unsent(p->ep) > 0) /* the last acknowledgment is on its way */
        pair_wait();
    free(got);
}

static void what_a_unix_socket_took_is_delivered(void **state)
{
    struct pair *p = *state;

    endpoint_write(p->ep, (const uint8_t *)"hello", 5);
    assert_int_equal(endpoint_unsent(p->ep), 0);
}

static void a_descriptor_that_cannot_be_opened_is_not_used(void **state)
{
    struct pair p;
    int fd, tcp;

    (void)state;
    for (tcp = 0; tcp < 2; tcp++) {
        fd = pair_connect(&p, tcp ? STREAM_TCP : STREAM_SOCKET);
        close(fd);
        pair_open(&p, fd);
        assert_int_equal(p.ep->error, UV_EBADF);
        endpoint_want_read(p.ep, true);
        assert_false(p.ep->reading);
        endpoint_write(p.ep, pair_bulk, 10);
        assert_true(endpoint_is_idle(p.ep));
        endpoint_shutdown(p.ep);
        assert_true(endpoint_is_gone(p.ep));
        assert_int_equal(endpoint_unsent(p.ep), 0);
        assert_int_equal(p.ep->error, UV_EBADF);
        pair_end(&p);
        assert_int_equal(p.changes, 0);
        close(p.peer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_BOTH(what_the_kernel_takes_at_once_is_not_held),
        PAIR_BOTH(what_the_kernel_does_not_take_at_once_is_written_later),
        PAIR_UNIX(what_is_written_behind_bulk_follows_it),
        PAIR_TCP(a_long_queue_is_written_whole),
        PAIR_BOTH(a_fin_follows_what_is_being_written),
        PAIR_BOTH(a_finished_stream_is_still_read),
        PAIR_BOTH(the_peers_fin_leaves_writing_open),
        PAIR_UNIX(no_bytes_come_while_none_are_wanted),
        PAIR_TCP(a_close_with_reset_is_a_reset),
        PAIR_BOTH(a_close_without_reset_is_a_clean_end),
        PAIR_UNIX(a_unix_socket_is_closed_where_tcp_is_reset),
        PAIR_BOTH(a_close_frees_what_was_being_written),
        PAIR_TCP(a_close_in_a_read_event_is_the_last_event),
        PAIR_BOTH(an_idle_endpoint_is_not_polled),
        PAIR_TCP(what_the_kernel_holds_is_not_delivered),
        PAIR_UNIX(what_a_unix_socket_took_is_delivered),
        cmocka_unit_test(a_descriptor_that_cannot_be_opened_is_not_used),
    };

    return cmocka_run_group_tests(tests, pair_group_setup, pair_group_teardown);
}
