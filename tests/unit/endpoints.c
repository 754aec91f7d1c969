#include "endpoints.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sock.h"
#include "base/util.h"

uint8_t *pair_bulk;
struct thread pair_thread;
const enum stream_kind pair_unix = STREAM_SOCKET, pair_tcp = STREAM_TCP,
                       pair_terminal = STREAM_TERMINAL;

/* An endpoint under test. It frees itself in its last event, as owners do. */
struct side {
    struct endpoint ep;
    struct pair *pair;
};

static struct pair *pair_of(struct endpoint *ep)
{
    return container_of(ep, struct side, ep)->pair;
}

static void on_read(struct endpoint *ep, const uint8_t *bytes, size_t n)
{
    struct pair *p = pair_of(ep);

    assert_int_equal(p->closings, 0);
    assert_true(n > 0);
    assert_true(n <= TLS_TURN_SIZE);
    p->bytes = realloc(p->bytes, p->n + n);
    assert_non_null(p->bytes);
    memcpy(p->bytes + p->n, bytes, n);
    p->n += n;
    p->reads++;
    if (p->stop_reading)
        endpoint_want_read(ep, false);
    if (p->close_in_read)
        endpoint_close(ep, true);
}

static void on_changed(struct endpoint *ep)
{
    struct pair *p = pair_of(ep);

    assert_int_equal(p->closings, 0);
    assert_true(ep->open);
    p->changes++;
    p->was_idle = endpoint_is_idle(ep);
}

static void on_closed(struct endpoint *ep)
{
    struct pair *p = pair_of(ep);

    p->closings++;
    p->ep = NULL;
    free(container_of(ep, struct side, ep));
}

static const struct endpoint_events events = {on_read, on_changed, on_closed};

void pair_turn(void)
{
    uv_run(&pair_thread.loop, UV_RUN_ONCE);
}

void pair_wait(void)
{
    uv_run(&pair_thread.loop, UV_RUN_NOWAIT);
    usleep(1000);
}

static void connect_tcp(int fds[2])
{
    struct addr at;
    socklen_t len = sizeof(at.in);
    int listener = socket(AF_INET, SOCK_STREAM, 0);

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

static void connect_terminal(int fds[2])
{
    struct termios raw = {.c_cflag = CS8 | CREAD | CLOCAL | B38400};

    raw.c_cc[VMIN] = 1;
    assert_int_equal(openpty(&fds[1], &fds[0], NULL, &raw, NULL), 0);
}

int pair_connect(struct pair *p, enum stream_kind kind)
{
    int fds[2];

    memset(p, 0, sizeof(*p));
    p->kind = kind;
    if (kind == STREAM_TCP)
        connect_tcp(fds);
    else if (kind == STREAM_TERMINAL)
        connect_terminal(fds);
    else
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_true(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
    p->peer = fds[1];
    return fds[0];
}

void pair_open(struct pair *p, int fd)
{
    struct side *side = malloc(sizeof(*side));

    assert_non_null(side);
    memset(side, 0xa5, sizeof(*side));
    side->pair = p;
    p->ep = &side->ep;
    endpoint_open(p->ep, &pair_thread.io,
                  &(struct stream){.fd = fd, .kind = p->kind, .attachment = p->attachment}, 0,
                  &events);
}

void pair_end(struct pair *p)
{
    if (p->ep)
        endpoint_close(p->ep, false);
    while (p->closings == 0)
        pair_turn();
    uv_run(&pair_thread.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_alive(&pair_thread.loop), 0);
    assert_int_equal(p->closings, 1);
    assert_int_equal(endpoints_hold(), 0);
}

void pair_close_peer(struct pair *p)
{
    close(p->peer);
    p->peer = -1;
}

void pair_reset_peer(struct pair *p)
{
    sock_close_reset(p->peer);
    p->peer = -1;
}

size_t pair_drain(struct pair *p, uint8_t *out, size_t n)
{
    size_t have = 0;
    ssize_t got = 1;

    assert_true(fcntl(p->peer, F_SETFL, O_NONBLOCK) == 0);
    while (have < n && got != 0) {
        got = read(p->peer, out + have, n - have);
        if (got > 0)
            have += (size_t)got;
        else if (got < 0 && errno == EAGAIN)
            pair_wait();
        else if (got < 0)
            fail_msg("read: %s", strerror(errno));
    }
    return have;
}

int pair_setup(void **state)
{
    const enum stream_kind *kind = *state;
    struct pair *p = malloc(sizeof(*p));

    assert_non_null(p);
    pair_open(p, pair_connect(p, *kind));
    assert_true(p->ep->open);
    assert_int_equal(p->ep->error, 0);
    assert_true(endpoint_is_idle(p->ep));
    *state = p;
    return 0;
}

int pair_teardown(void **state)
{
    struct pair *p = *state;

    pair_end(p);
    if (p->peer >= 0)
        close(p->peer);
    free(p->bytes);
    free(p);
    return 0;
}

int pair_group_setup(void **state)
{
    uint32_t seed = 1;
    size_t i;

    (void)state;
    signal(SIGPIPE, SIG_IGN); /* as the programs have it */
    alarm(120);               /* what never comes is a failure as well */
    pair_bulk = malloc(PAIR_BULK);
    for (i = 0; i < PAIR_BULK; i++)
        pair_bulk[i] = (uint8_t)random_next(&seed);
    return thread_init(&pair_thread);
}

int pair_group_teardown(void **state)
{
    (void)state;
    thread_close(&pair_thread);
    uv_run(&pair_thread.loop, UV_RUN_DEFAULT);
    thread_free(&pair_thread);
    free(pair_bulk);
    return 0;
}
