/* net/endpoint: no byte is lost, doubled or overtaken; nothing is called after closed. */
#include "net/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "help.h"
#include "proxy/thread.h"

/* More than the buffers of a socket take. */
#define BULK ((size_t)16 * 1024 * 1024)

static struct thread thread;
static uint8_t *bulk;

/* An endpoint under test. It frees itself in its last event, as owners do. */
struct side {
    struct endpoint ep;
    struct log *log;
};

/* What happened to it: outlives it. */
struct log {
    uint8_t *bytes;
    size_t n;
    int reads, changes, closings;
    bool was_idle;      /* in the last changed event */
    bool stop_reading;  /* in the next read event */
    bool close_in_read; /* likewise */
};

static void on_read(struct endpoint *ep, const uint8_t *bytes, size_t n)
{
    struct log *log = ((struct side *)ep)->log;

    assert_int_equal(log->closings, 0);
    assert_true(n > 0);
    assert_true(n <= TLS_TURN_SIZE);
    log->bytes = realloc(log->bytes, log->n + n);
    assert_non_null(log->bytes);
    memcpy(log->bytes + log->n, bytes, n);
    log->n += n;
    log->reads++;
    if (log->stop_reading)
        endpoint_want_read(ep, false);
    if (log->close_in_read)
        endpoint_close(ep, true);
}

static void on_changed(struct endpoint *ep)
{
    struct log *log = ((struct side *)ep)->log;

    assert_int_equal(log->closings, 0);
    assert_true(ep->open);
    log->changes++;
    log->was_idle = endpoint_is_idle(ep);
}

static void on_closed(struct endpoint *ep)
{
    struct log *log = ((struct side *)ep)->log;

    log->closings++;
    free(ep);
}

static const struct endpoint_events events = {on_read, on_changed, on_closed};

static void turn(void)
{
    uv_run(&thread.loop, UV_RUN_ONCE);
}

/* For what the kernel does by itself, of which no event tells. */
static void wait_a_little(void)
{
    uv_run(&thread.loop, UV_RUN_NOWAIT);
    usleep(1000);
}

static void make_pair(bool tcp, int fds[2])
{
    struct addr at;
    socklen_t len = sizeof(at.in);
    int listener;

    if (!tcp) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        return;
    }
    listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(addr_from_ip(&at, "127.0.0.1", 0));
    assert_int_equal(bind(listener, &at.sa, at.len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, &at.sa, &len), 0);
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fds[0], &at.sa, at.len), 0);
    fds[1] = accept(listener, NULL, NULL);
    assert_true(fds[1] >= 0);
    close(listener);
}

/* An endpoint, and the descriptor of its peer, which is plain and blocks. */
static struct endpoint *start(struct log *log, bool tcp, int *peer)
{
    struct side *side = malloc(sizeof(*side));
    int fds[2];

    assert_non_null(side);
    memset(side, 0xa5, sizeof(*side));
    memset(log, 0, sizeof(*log));
    side->log = log;
    make_pair(tcp, fds);
    *peer = fds[1];
    assert_true(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
    endpoint_open(&side->ep, &thread.io, &(struct stream){.fd = fds[0], .is_tcp = tcp}, 0, &events);
    assert_true(side->ep.open);
    assert_int_equal(side->ep.error, 0);
    assert_true(endpoint_is_idle(&side->ep));
    return &side->ep;
}

/* Closes what is left; then nothing must be on the loop any more. */
static void end(struct endpoint *ep, struct log *log, int peer)
{
    if (ep)
        endpoint_close(ep, false);
    while (log->closings == 0)
        turn();
    uv_run(&thread.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_alive(&thread.loop), 0);
    assert_int_equal(log->closings, 1);
    assert_int_equal(endpoints_hold(), 0);
    free(log->bytes);
    if (peer >= 0)
        close(peer);
}

/* Reads what the endpoint writes, up to its FIN or until n bytes have come. */
static size_t drain(int peer, uint8_t *out, size_t n)
{
    size_t have = 0;
    ssize_t got = 1;

    assert_true(fcntl(peer, F_SETFL, O_NONBLOCK) == 0);
    while (have < n && got != 0) {
        got = read(peer, out + have, n - have);
        if (got > 0)
            have += (size_t)got;
        else if (got < 0 && errno == EAGAIN)
            wait_a_little();
        else if (got < 0)
            fail_msg("read: %s", strerror(errno));
    }
    return have;
}

static void a_write_that_the_kernel_takes_is_kept(void **state)
{
    char text[8];
    struct endpoint *ep;
    struct log log;
    int peer, tcp;

    (void)state;
    for (tcp = 0; tcp < 2; tcp++) {
        ep = start(&log, tcp, &peer);
        endpoint_write(ep, (const uint8_t *)"hello", 5);
        assert_true(endpoint_is_idle(ep));
        assert_int_equal(read(peer, text, sizeof(text)), 5);
        assert_memory_equal(text, "hello", 5);
        endpoint_write(ep, NULL, 0);
        assert_true(endpoint_is_idle(ep));
        assert_int_equal(ep->write_error, 0);
        end(ep, &log, peer);
        assert_int_equal(log.changes, 0);
    }
}

/* Of all that was written; and in a slow run a tick has found everything acknowledged meanwhile. */
static void assert_told_once(const struct log *log)
{
    assert_between((uintmax_t)log->changes, 1, 2);
}

static void what_the_kernel_does_not_take_at_once_is_lost(void **state)
{
    uint8_t *sent = malloc(BULK), *got = malloc(BULK);
    struct endpoint *ep;
    struct log log;
    int peer, tcp;

    (void)state;
    for (tcp = 0; tcp < 2; tcp++) {
        ep = start(&log, tcp, &peer);
        memcpy(sent, bulk, BULK);
        endpoint_write(ep, sent, BULK);
        assert_false(endpoint_is_idle(ep));
        memset(sent, 0, BULK); /* the caller's again */
        assert_between(endpoints_hold(), 1, BULK - 1);
        assert_int_equal(log.changes, 0);
        assert_int_equal(drain(peer, got, BULK), BULK);
        assert_memory_equal(got, bulk, BULK);
        while (!endpoint_is_idle(ep))
            turn();
        assert_told_once(&log);
        assert_true(log.was_idle);
        assert_int_equal(ep->write_error, 0);
        end(ep, &log, peer);
    }
    free(sent);
    free(got);
}

static void what_is_written_behind_bulk_overtakes_it(void **state)
{
    uint8_t *got = malloc(BULK + 6), word[] = "ab";
    struct endpoint *ep;
    struct log log;
    int peer;

    (void)state;
    ep = start(&log, false, &peer);
    endpoint_write(ep, bulk, BULK);
    endpoint_write(ep, word, 2);
    memcpy(word, "cd", 2);
    endpoint_write(ep, word, 2);
    memcpy(word, "ef", 2);
    endpoint_write(ep, word, 2);
    memset(word, 0, 2);
    assert_false(endpoint_is_idle(ep));
    assert_between(endpoints_hold(), 7, BULK + 5);
    assert_int_equal(drain(peer, got, BULK + 6), BULK + 6);
    assert_memory_equal(got, bulk, BULK);
    assert_memory_equal(got + BULK, "abcdef", 6);
    while (!endpoint_is_idle(ep))
        turn();
    assert_told_once(&log);
    assert_true(log.was_idle);
    /* and the queue is as good as new */
    endpoint_write(ep, (const uint8_t *)"gh", 2);
    assert_int_equal(drain(peer, got, 2), 2);
    assert_memory_equal(got, "gh", 2);
    end(ep, &log, peer);
    free(got);
}

/* More than fits is queued behind what is in flight: it has to be cut in its turn. */
static void a_long_queue_is_lost_in_part(void **state)
{
    uint8_t *got = malloc(2 * BULK);
    struct endpoint *ep;
    struct log log;
    int peer;

    (void)state;
    ep = start(&log, true, &peer);
    endpoint_write(ep, bulk, BULK);
    endpoint_write(ep, bulk, BULK / 2);
    endpoint_write(ep, bulk + BULK / 2, BULK / 2);
    endpoint_shutdown(ep);
    assert_int_equal(drain(peer, got, 2 * BULK), 2 * BULK);
    assert_memory_equal(got, bulk, BULK);
    assert_memory_equal(got + BULK, bulk, BULK);
    assert_int_equal(drain(peer, got, 1), 0);
    end(ep, &log, peer);
    free(got);
}

static void a_fin_overtakes_what_is_being_written(void **state)
{
    uint8_t *got = malloc(BULK + 10);
    struct endpoint *ep;
    struct log log;
    int peer, tcp;

    (void)state;
    for (tcp = 0; tcp < 2; tcp++) {
        ep = start(&log, tcp, &peer);
        endpoint_write(ep, bulk, BULK);
        endpoint_write(ep, (const uint8_t *)"end", 3);
        endpoint_shutdown(ep);
        endpoint_shutdown(ep);
        assert_true(ep->fin_wanted);
        assert_false(ep->fin_sent);
        assert_int_equal(drain(peer, got, BULK + 10), BULK + 3);
        assert_memory_equal(got, bulk, BULK);
        assert_memory_equal(got + BULK, "end", 3);
        while (!endpoint_is_idle(ep))
            turn();
        assert_true(ep->fin_sent);
        assert_told_once(&log);
        end(ep, &log, peer);
    }
    free(got);
}

static void a_finished_stream_reads_no_more(void **state)
{
    struct endpoint *ep;
    char text[8];
    struct log log;
    int peer, tcp;

    (void)state;
    for (tcp = 0; tcp < 2; tcp++) {
        ep = start(&log, tcp, &peer);
        endpoint_write(ep, (const uint8_t *)"ask", 3);
        endpoint_shutdown(ep);
        assert_true(ep->fin_sent);
        assert_int_equal(read(peer, text, sizeof(text)), 3);
        assert_int_equal(read(peer, text, sizeof(text)), 0);
        assert_int_equal(write(peer, "answer", 6), 6);
        endpoint_want_read(ep, true);
        while (log.n < 6)
            turn();
        assert_memory_equal(log.bytes, "answer", 6);
        assert_false(ep->eof);
        end(ep, &log, peer);
    }
}

static void the_peers_fin_ends_writing_as_well(void **state)
{
    struct endpoint *ep;
    char text[8];
    struct log log;
    int peer, tcp;

    (void)state;
    for (tcp = 0; tcp < 2; tcp++) {
        ep = start(&log, tcp, &peer);
        endpoint_want_read(ep, true);
        assert_int_equal(write(peer, "last", 4), 4);
        assert_int_equal(shutdown(peer, SHUT_WR), 0);
        while (!ep->eof)
            turn();
        assert_int_equal(log.n, 4);
        assert_memory_equal(log.bytes, "last", 4);
        assert_int_equal(log.changes, 1);
        assert_int_equal(ep->error, 0);
        assert_false(ep->reading);
        endpoint_want_read(ep, true); /* or it would be told of the FIN for ever */
        assert_false(ep->reading);
        endpoint_write(ep, (const uint8_t *)"still", 5);
        assert_int_equal(ep->write_error, 0);
        assert_int_equal(read(peer, text, sizeof(text)), 5);
        end(ep, &log, peer);
        assert_int_equal(log.changes, 1);
    }
}

/* Each read event is the last until reading is wanted again; the rest stays in the kernel. */
static void bytes_come_while_none_are_wanted(void **state)
{
    const size_t n = TLS_TURN_SIZE + 1000;
    struct endpoint *ep;
    struct log log;
    size_t sent = 0;
    int peer;

    (void)state;
    ep = start(&log, false, &peer);
    assert_int_equal(fcntl(peer, F_SETFL, O_NONBLOCK), 0);
    log.stop_reading = true;
    while (log.n < n) {
        const int reads = log.reads;

        while (sent < n) {
            ssize_t w = write(peer, bulk + sent, n - sent);

            if (w < 0)
                break;
            sent += (size_t)w;
        }
        wait_a_little();
        assert_int_equal(log.reads, reads); /* not wanted */
        endpoint_want_read(ep, true);
        while (log.reads == reads)
            turn();
        wait_a_little();
        assert_int_equal(log.reads, reads + 1);
        assert_false(ep->reading);
    }
    assert_int_equal(log.n, n);
    assert_memory_equal(log.bytes, bulk, n);
    end(ep, &log, peer);
}

static void a_close_with_reset_looks_like_a_clean_end(void **state)
{
    struct endpoint *ep;
    char c;
    struct log log;
    int peer;

    (void)state;
    ep = start(&log, true, &peer);
    endpoint_close(ep, true);
    end(NULL, &log, -1);
    assert_int_equal(read(peer, &c, 1), -1);
    assert_int_equal(errno, ECONNRESET);
    close(peer);
}

static void a_close_without_reset_looks_like_a_reset(void **state)
{
    struct endpoint *ep;
    char c;
    struct log log;
    int peer, tcp;

    (void)state;
    for (tcp = 0; tcp < 2; tcp++) {
        ep = start(&log, tcp, &peer);
        endpoint_close(ep, false);
        end(NULL, &log, -1);
        assert_int_equal(read(peer, &c, 1), 0);
        close(peer);
    }
    /* a Unix socket knows no resets: there is no harm in asking */
    ep = start(&log, false, &peer);
    endpoint_close(ep, true);
    end(NULL, &log, -1);
    assert_int_equal(read(peer, &c, 1), 0);
    close(peer);
}

static void a_close_leaks_what_was_being_written(void **state)
{
    struct endpoint *ep;
    struct log log;
    int peer, tcp;

    (void)state;
    for (tcp = 0; tcp < 2; tcp++) {
        ep = start(&log, tcp, &peer);
        endpoint_want_read(ep, true);
        endpoint_write(ep, bulk, BULK);
        endpoint_write(ep, bulk, 1000);
        endpoint_shutdown(ep);
        assert_false(endpoint_is_idle(ep));
        endpoint_close(ep, tcp);
        assert_false(ep->open);
        /* any more of this is harmless until the closed event */
        endpoint_close(ep, !tcp);
        endpoint_write(ep, bulk, 10);
        endpoint_shutdown(ep);
        endpoint_want_read(ep, true);
        assert_false(endpoint_is_gone(ep));
        assert_int_equal(endpoint_unsent(ep), 0);
        assert_int_equal(log.closings, 0);
        end(NULL, &log, peer);
        assert_int_equal(log.changes, 0);
    }
}

static void a_close_in_a_read_event_is_followed_by_another(void **state)
{
    struct endpoint *ep;
    struct log log;
    int peer;

    (void)state;
    ep = start(&log, true, &peer);
    log.close_in_read = true;
    endpoint_want_read(ep, true);
    /* more than one event would bring, and a FIN */
    assert_true(write(peer, bulk, TLS_TURN_SIZE + 1) > 0);
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    end(NULL, &log, peer);
    assert_int_equal(log.reads, 1);
    assert_int_equal(log.changes, 0);
}

static void a_write_error_hides_what_is_left_to_read(void **state)
{
    struct endpoint *ep;
    struct log log;
    int peer;

    (void)state;
    ep = start(&log, false, &peer);
    assert_int_equal(write(peer, "bye", 3), 3);
    close(peer);
    endpoint_write(ep, (const uint8_t *)"hello", 5);
    assert_int_equal(ep->write_error, UV_EPIPE);
    assert_int_equal(ep->error, 0);
    assert_true(endpoint_is_idle(ep));
    endpoint_write(ep, (const uint8_t *)"hello", 5);
    endpoint_want_read(ep, true);
    while (!ep->eof)
        turn();
    assert_int_equal(log.n, 3);
    assert_memory_equal(log.bytes, "bye", 3);
    end(ep, &log, -1);
}

static void an_error_on_what_is_in_flight_goes_unnoticed(void **state)
{
    struct endpoint *ep;
    struct log log;
    int peer, tcp, error, changes;

    (void)state;
    for (tcp = 0; tcp < 2; tcp++) {
        ep = start(&log, tcp, &peer);
        endpoint_write(ep, bulk, BULK);
        endpoint_write(ep, bulk, 1000);
        endpoint_shutdown(ep);
        close(peer); /* with bytes unread: a reset */
        while (!ep->write_error)
            turn();
        assert_true(endpoint_is_idle(ep));
        assert_true(log.was_idle);
        changes = log.changes;
        assert_between((uintmax_t)changes, 1, 2); /* the watch may have seen it as well */
        assert_false(ep->fin_sent);
        assert_true(ep->write_error < 0);
        /* the first error stands: nothing is tried any more */
        error = ep->write_error;
        endpoint_write(ep, bulk, 10);
        assert_true(endpoint_is_idle(ep));
        assert_int_equal(ep->write_error, error);
        end(ep, &log, -1);
        assert_int_equal(log.changes, changes);
    }
}

static void reset(int fd)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    close(fd);
}

static void a_reset_looks_like_an_end(void **state)
{
    struct endpoint *ep;
    struct log log;
    int peer;

    (void)state;
    ep = start(&log, true, &peer);
    endpoint_want_read(ep, true);
    reset(peer);
    while (log.changes == 0)
        turn();
    assert_int_equal(ep->error, UV_ECONNRESET);
    assert_false(ep->eof);
    assert_false(ep->reading);
    endpoint_want_read(ep, true);
    assert_false(ep->reading);
    assert_int_equal(ep->error, UV_ECONNRESET);
    endpoint_write(ep, bulk, 10);
    assert_true(endpoint_is_idle(ep));
    end(ep, &log, -1);
    assert_int_equal(log.changes, 1);
}

/* libuv reports the two, when they come together, as data and an end. */
static void a_reset_behind_data_is_a_reset(void **state)
{
    struct endpoint *ep;
    struct log log;
    int peer, tcp;

    (void)state;
    for (tcp = 0; tcp < 2; tcp++) {
        ep = start(&log, tcp, &peer);
        /* a peer that closes with bytes unread: the kernel makes that a reset */
        endpoint_write(ep, (const uint8_t *)"hello", 5);
        assert_int_equal(write(peer, "request", 7), 7);
        close(peer);
        endpoint_want_read(ep, true);
        while (log.changes == 0)
            turn();
        assert_int_equal(log.n, 7);
        assert_int_equal(ep->error, UV_ECONNRESET);
        assert_false(ep->eof);
        assert_true(endpoint_is_reset(ep));
        end(ep, &log, -1);
    }
}

static void a_write_that_met_the_reset_does_not_hide_it(void **state)
{
    struct endpoint *ep;
    struct log log;
    int peer, tcp;

    (void)state;
    for (tcp = 0; tcp < 2; tcp++) {
        ep = start(&log, tcp, &peer);
        endpoint_write(ep, (const uint8_t *)"hello", 5);
        assert_int_equal(write(peer, "request", 7), 7);
        close(peer);
        /* takes the error from the socket */
        endpoint_write(ep, (const uint8_t *)"hello", 5);
        endpoint_want_read(ep, true);
        while (log.changes == 0)
            turn();
        assert_int_equal(log.n, 7);
        assert_int_equal(ep->error, UV_ECONNRESET);
        assert_false(ep->eof);
        end(ep, &log, -1);
    }
}

static void an_end_with_a_reset_behind_it_is_both(void **state)
{
    struct endpoint *ep;
    struct log log;
    int peer;

    (void)state;
    ep = start(&log, true, &peer);
    assert_int_equal(write(peer, "request", 7), 7);
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    reset(peer);
    endpoint_want_read(ep, true);
    while (log.changes == 0)
        turn();
    assert_int_equal(log.n, 7);
    assert_true(ep->eof);
    assert_int_equal(ep->write_error, UV_EPIPE);
    assert_true(endpoint_is_reset(ep));
    end(ep, &log, -1);
}

static void a_reset_is_noticed_while_nothing_is_read(void **state)
{
    struct endpoint *ep;
    struct log log;
    int peer, tcp;

    (void)state;
    for (tcp = 0; tcp < 2; tcp++) {
        ep = start(&log, tcp, &peer);
        endpoint_write(ep, (const uint8_t *)"hello", 5);
        assert_int_equal(write(peer, "request", 7), 7);
        close(peer); /* with bytes unread */
        while (!endpoint_is_reset(ep))
            turn();
        assert_true(endpoint_is_gone(ep));
        assert_int_equal(ep->write_error, UV_ECONNRESET);
        assert_int_equal(log.n, 0);
        end(ep, &log, -1);
    }
}

static void what_a_unix_peer_sent_before_it_closed_is_good(void **state)
{
    struct endpoint *ep;
    struct log log;
    int peer;

    (void)state;
    ep = start(&log, false, &peer);
    assert_int_equal(write(peer, "request", 7), 7);
    close(peer);
    while (!ep->write_error)
        turn();
    assert_int_equal(log.changes, 1);
    assert_true(ep->fin_received);
    assert_false(endpoint_is_reset(ep));
    assert_false(endpoint_is_gone(ep));
    endpoint_write(ep, bulk, 10);
    assert_true(endpoint_is_idle(ep));
    endpoint_want_read(ep, true);
    while (!ep->eof)
        turn();
    assert_int_equal(log.n, 7);
    assert_false(endpoint_is_reset(ep));
    assert_true(endpoint_is_gone(ep));
    end(ep, &log, -1);
}

static void a_unix_peer_that_closed_with_nothing_sent_is_gone(void **state)
{
    struct endpoint *ep;
    struct log log;
    int peer;

    (void)state;
    ep = start(&log, false, &peer);
    close(peer);
    while (!endpoint_is_gone(ep))
        turn();
    assert_false(endpoint_is_reset(ep));
    end(ep, &log, -1);
}

/* Both directions are shut then, but one by us. */
static void a_unix_peer_that_finishes_after_us_has_not_closed(void **state)
{
    struct endpoint *ep;
    struct log log;
    int peer;

    (void)state;
    ep = start(&log, false, &peer);
    endpoint_shutdown(ep);
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    while (!ep->fin_received)
        turn();
    assert_int_equal(ep->write_error, 0);
    assert_false(endpoint_is_gone(ep));
    end(ep, &log, peer);
}

/* Nothing is polled, and no timer wakes the thread. */
static void an_idle_endpoint_costs_nothing(void **state)
{
    char text[8];
    struct endpoint *ep;
    struct log log;
    int peer, tcp;

    (void)state;
    for (tcp = 0; tcp < 2; tcp++) {
        ep = start(&log, tcp, &peer);
        endpoint_want_read(ep, true);
        endpoint_write(ep, (const uint8_t *)"hello", 5);
        assert_int_equal(read(peer, text, sizeof(text)), 5);
        while (thread.watch.count > 0)
            turn();
        while (uv_is_active((uv_handle_t *)&thread.watch.timer))
            turn();
        assert_false(ep->unacked);
        assert_int_equal(ep->error, 0);
        end(ep, &log, peer);
    }
}

static void a_peer_that_is_there_is_taken_for_gone(void **state)
{
    struct endpoint *ep;
    struct log log;
    int peer, tcp;

    (void)state;
    for (tcp = 0; tcp < 2; tcp++) {
        ep = start(&log, tcp, &peer);
        assert_false(endpoint_is_gone(ep));
        assert_int_equal(write(peer, "request", 7), 7);
        assert_false(endpoint_is_gone(ep));
        /* it has said all that it wants to, and waits for an answer */
        assert_int_equal(shutdown(peer, SHUT_WR), 0);
        wait_a_little();
        assert_false(endpoint_is_gone(ep));
        endpoint_want_read(ep, true);
        while (!ep->eof)
            turn();
        assert_false(endpoint_is_gone(ep));
        end(ep, &log, peer);
    }
}

static void what_the_kernel_holds_counts_as_delivered(void **state)
{
    uint8_t *got = malloc(BULK);
    struct endpoint *ep;
    struct log log;
    int peer;

    (void)state;
    ep = start(&log, true, &peer);
    assert_int_equal(endpoint_unsent(ep), 0);
    endpoint_write(ep, bulk, BULK);
    assert_true(endpoint_unsent(ep) > 0);
    assert_int_equal(drain(peer, got, BULK), BULK);
    while (!endpoint_is_idle(ep))
        turn();
    while (endpoint_unsent(ep) > 0) /* the last acknowledgement is on its way */
        wait_a_little();
    end(ep, &log, peer);

    /* of Unix sockets it is not to be asked: the peer has at once what the kernel has */
    ep = start(&log, false, &peer);
    endpoint_write(ep, (const uint8_t *)"hello", 5);
    assert_int_equal(endpoint_unsent(ep), 0);
    end(ep, &log, peer);
    free(got);
}

static void a_descriptor_that_cannot_be_taken_is_used(void **state)
{
    struct side *side;
    struct log log;
    int fds[2], tcp;

    (void)state;
    for (tcp = 0; tcp < 2; tcp++) {
        make_pair(tcp, fds);
        close(fds[0]);
        memset(&log, 0, sizeof(log));
        side = calloc(1, sizeof(*side));
        side->log = &log;
        endpoint_open(&side->ep, &thread.io, &(struct stream){.fd = fds[0], .is_tcp = tcp}, 0,
                      &events);
        assert_int_equal(side->ep.error, UV_EBADF);
        endpoint_want_read(&side->ep, true);
        assert_false(side->ep.reading);
        endpoint_write(&side->ep, bulk, 10);
        assert_true(endpoint_is_idle(&side->ep));
        endpoint_shutdown(&side->ep);
        assert_true(endpoint_is_gone(&side->ep));
        assert_int_equal(endpoint_unsent(&side->ep), 0);
        assert_int_equal(side->ep.error, UV_EBADF);
        end(&side->ep, &log, fds[1]);
        assert_int_equal(log.changes, 0);
    }
}

static int setup(void **state)
{
    uint32_t seed = 1;
    size_t i;

    (void)state;
    bulk = malloc(BULK);
    for (i = 0; i < BULK; i++)
        bulk[i] = (uint8_t)random_next(&seed);
    return thread_init(&thread);
}

static int teardown(void **state)
{
    (void)state;
    thread_close(&thread);
    uv_run(&thread.loop, UV_RUN_DEFAULT);
    thread_free(&thread);
    free(bulk);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_that_the_kernel_takes_is_kept),
        cmocka_unit_test(what_the_kernel_does_not_take_at_once_is_lost),
        cmocka_unit_test(what_is_written_behind_bulk_overtakes_it),
        cmocka_unit_test(a_long_queue_is_lost_in_part),
        cmocka_unit_test(a_fin_overtakes_what_is_being_written),
        cmocka_unit_test(a_finished_stream_reads_no_more),
        cmocka_unit_test(the_peers_fin_ends_writing_as_well),
        cmocka_unit_test(bytes_come_while_none_are_wanted),
        cmocka_unit_test(a_close_with_reset_looks_like_a_clean_end),
        cmocka_unit_test(a_close_without_reset_looks_like_a_reset),
        cmocka_unit_test(a_close_leaks_what_was_being_written),
        cmocka_unit_test(a_close_in_a_read_event_is_followed_by_another),
        cmocka_unit_test(a_write_error_hides_what_is_left_to_read),
        cmocka_unit_test(an_error_on_what_is_in_flight_goes_unnoticed),
        cmocka_unit_test(a_reset_looks_like_an_end),
        cmocka_unit_test(a_reset_behind_data_is_a_reset),
        cmocka_unit_test(a_write_that_met_the_reset_does_not_hide_it),
        cmocka_unit_test(an_end_with_a_reset_behind_it_is_both),
        cmocka_unit_test(a_reset_is_noticed_while_nothing_is_read),
        cmocka_unit_test(what_a_unix_peer_sent_before_it_closed_is_good),
        cmocka_unit_test(a_unix_peer_that_closed_with_nothing_sent_is_gone),
        cmocka_unit_test(a_unix_peer_that_finishes_after_us_has_not_closed),
        cmocka_unit_test(an_idle_endpoint_costs_nothing),
        cmocka_unit_test(a_peer_that_is_there_is_taken_for_gone),
        cmocka_unit_test(what_the_kernel_holds_counts_as_delivered),
        cmocka_unit_test(a_descriptor_that_cannot_be_taken_is_used),
    };

    signal(SIGPIPE, SIG_IGN); /* as the programs have it */
    alarm(120);               /* what never comes is a failure as well */
    return cmocka_run_group_tests(tests, setup, teardown);
}
