#include "net/endpoint.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sock.h"
#include "base/util.h"

/* Bytes that wait for the kernel to take them. */
struct unsent {
    uv_write_t request;
    size_t len;
    uint8_t bytes[];
};

static atomic_uint_fast64_t held;

uint64_t endpoints_hold(void)
{
    return atomic_load_explicit(&held, memory_order_relaxed);
}

/*
 * Appends a copy to u, which may be NULL. Returns NULL if memory is short, and leaves u as it was.
 */
static struct unsent *unsent_append(struct unsent *u, const uint8_t *bytes, size_t n)
{
    const size_t have = u ? u->len : 0;
    struct unsent *grown = realloc(u, sizeof(*grown) + have + n);

    if (!grown)
        return NULL;
    memcpy(grown->bytes + have, bytes, n);
    grown->len = have + n;
    (void)atomic_fetch_add_explicit(&held, n, memory_order_relaxed);
    return grown;
}

static void unsent_free(struct unsent *u)
{
    if (u)
        (void)atomic_fetch_sub_explicit(&held, u->len, memory_order_relaxed);
    free(u);
}

/* Watches the socket while libuv reports nothing about it. */
static void update_watch(struct endpoint *ep)
{
    watch_set(ep->io->watch, &ep->watched, ep->open && !ep->error && (ep->unacked || !ep->reading));
}

/* Keeps the first error, except EPIPE, which a write can meet before the socket reports a reset. */
static void set_write_error(struct endpoint *ep, int error)
{
    if (error && (!ep->write_error || ep->write_error == UV_EPIPE))
        ep->write_error = error;
}

/* Asks the socket whether writing has failed. Bytes that came before can still be read. */
static void note_socket_error(struct endpoint *ep)
{
    /* a terminal has no SO_ERROR, and reports nothing here but a hang-up */
    set_write_error(ep, ep->kind == STREAM_TERMINAL ? UV_EIO : -sock_take_error(ep->watched.fd));
}

static bool was_reset(const struct endpoint *ep)
{
    /*
     * TCP reports EPIPE for a reset behind a FIN; a Unix socket, for a peer that has closed in
     * order
     */
    return ep->write_error && ep->write_error != UV_EPIPE;
}

/* Notes what poll(2) has reported of an endpoint that is not read. Returns true if it is new. */
static bool note_poll(struct endpoint *ep, short revents)
{
    const bool had_fin = ep->fin_received, could_write = !ep->write_error;

    if ((revents & POLLERR) || (ep->kind == STREAM_TERMINAL && (revents & POLLHUP)))
        note_socket_error(ep);
    else if (revents & POLLRDHUP)
        ep->fin_received = true;
    /* POLLHUP: both directions of a Unix socket are shut, by the peer unless we have shut one */
    if (ep->kind == STREAM_SOCKET && (revents & POLLHUP) && !ep->fin_sent)
        set_write_error(ep, UV_EPIPE);
    return ep->fin_received != had_fin || (could_write && ep->write_error);
}

/* Checks acknowledgments. Returns true if all have come, or if the peer is lost. */
static bool note_acks(struct endpoint *ep)
{
    const int64_t now = (int64_t)uv_now(ep->io->loop);
    struct sock_acks acks;

    if (!sock_acks(ep->watched.fd, &acks) || !acks.pending) {
        ep->unacked = false;
        return true;
    }
    if (!acks.unanswered)
        ep->silent_since = now;
    else if (now - acks.last_ms > ep->silent_since)
        ep->silent_since = now - acks.last_ms;
    if (ep->ack_limit == 0 || now - ep->silent_since < ep->ack_limit)
        return false;
    endpoint_want_read(ep, false);
    set_write_error(ep, UV_ETIMEDOUT);
    ep->error = UV_ETIMEDOUT;
    return true;
}

static void on_tick(struct watched *w, short revents)
{
    struct endpoint *ep = container_of(w, struct endpoint, watched);
    bool news = !ep->reading && note_poll(ep, revents);

    if (ep->unacked)
        news |= note_acks(ep);
    update_watch(ep);
    if (news)
        ep->events->changed(ep);
}

void endpoint_open(struct endpoint *ep, const struct endpoint_io *io, const struct stream *stream,
                   int64_t keepalive_ms, const struct endpoint_events *events)
{
    const int fd = stream->fd;

    memset(ep, 0, sizeof(*ep));
    ep->io = io;
    ep->kind = stream->kind;
    ep->attachment = stream->attachment;
    ep->events = events;
    ep->ack_limit = sock_keepalive_limit(keepalive_ms);
    ep->watched.fd = fd;
    ep->watched.tick = on_tick;
    /* neither can fail: they only fill in the handle */
    if (ep->kind == STREAM_TCP)
        (void)uv_tcp_init(io->loop, &ep->uv.tcp);
    else
        (void)uv_pipe_init(io->loop, &ep->uv.pipe, 0);
    ep->uv.handle.data = ep;
    ep->open = true;
    if (ep->kind == STREAM_SOCKET) {
        sock_oob_inline(fd);
        sock_widen(fd);
    }
    ep->error = ep->kind == STREAM_TCP ? uv_tcp_open(&ep->uv.tcp, fd)
                                       : uv_pipe_open(&ep->uv.pipe, fd);
    if (ep->error) {
        close(fd);
        ep->watched.fd = -1;
    }
    update_watch(ep);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct endpoint *ep = handle->data;

    (void)suggested;
    *buf = uv_buf_init((char *)ep->io->input, (unsigned)ep->io->input_size);
}

/* Notes how the stream has ended, of which the descriptor has no more to report. */
static void note_end(struct endpoint *ep)
{
    if (was_reset(ep))
        ep->error = ep->write_error;
    else if (ep->attachment && ep->attachment->ops->has_failed(ep->attachment))
        ep->error = UV_ECONNABORTED;
    else
        ep->eof = ep->fin_received = true;
    update_watch(ep);
    ep->events->changed(ep);
}

static void on_attachment_ended(struct attachment *a, void *owner)
{
    struct endpoint *ep = owner;

    (void)a;
    ep->held = false;
    note_end(ep);
}

/* Returns true if the end is not reported yet. */
static bool hold_end(struct endpoint *ep)
{
    struct attachment *a = ep->attachment;

    if (!a)
        return false;
    a->ended = on_attachment_ended;
    a->owner = ep;
    ep->held = !a->ops->has_ended(a);
    return ep->held;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct endpoint *ep = stream->data;

    if (n == 0)
        return; /* EAGAIN */
    if (n > 0) {
        ep->events->read(ep, (const uint8_t *)buf->base, (size_t)n);
        return;
    }
    endpoint_want_read(ep, false);
    /*
     * libuv takes a hang-up behind a short read for the end (uv__stream_io). It can be a reset, and
     * a read is also short at urgent data and at descriptors that were passed.
     */
    if (n == UV_EOF)
        note_socket_error(ep);
    else
        set_write_error(ep, (int)n);
    if (n == UV_EOF && sock_has_unread(ep->watched.fd))
        endpoint_want_read(ep, true);
    else if (!hold_end(ep))
        note_end(ep);
}

void endpoint_want_read(struct endpoint *ep, bool want)
{
    if (!ep->open || ep->eof || ep->error || ep->held)
        want = false;
    if (want == ep->reading)
        return;
    ep->reading = want;
    if (want)
        ep->error = uv_read_start(&ep->uv.stream, on_alloc, on_read);
    else
        uv_read_stop(&ep->uv.stream);
    update_watch(ep);
}

struct addr endpoint_local(const struct endpoint *ep)
{
    struct addr local = {0};
    socklen_t len = sizeof(local.un);
    uv_os_fd_t fd;

    if (uv_fileno(&ep->uv.handle, &fd) == 0 && getsockname(fd, &local.sa, &len) == 0)
        local.len = len < sizeof(local.un) ? len : sizeof(local.un);
    return local;
}

bool endpoint_is_idle(const struct endpoint *ep)
{
    return !ep->in_flight;
}

size_t endpoint_queued(const struct endpoint *ep)
{
    return ep->queued ? ep->queued->len : 0;
}

/* Notes that the kernel has bytes which the peer has to acknowledge. */
static void expect_acks(struct endpoint *ep)
{
    if (ep->kind != STREAM_TCP || ep->unacked)
        return;
    ep->unacked = true;
    ep->silent_since = (int64_t)uv_now(ep->io->loop);
    update_watch(ep);
}

static void send_fin(struct endpoint *ep)
{
    /* nothing is in libuv's queue, so the FIN cannot overtake anything */
    ep->fin_sent = true;
    (void)shutdown(ep->watched.fd, SHUT_WR); /* has no effect on a terminal */
    expect_acks(ep);
}

static void on_written(uv_write_t *request, int status);

static void write_later(struct endpoint *ep, struct unsent *u)
{
    uv_buf_t buf = uv_buf_init((char *)u->bytes, (unsigned)u->len);
    int error = uv_write(&u->request, &ep->uv.stream, &buf, 1, on_written);

    if (error) {
        unsent_free(u);
        ep->write_error = error;
        return;
    }
    ep->in_flight = u;
}

static void on_written(uv_write_t *request, int status)
{
    struct endpoint *ep = request->handle->data;
    struct unsent *next = ep->queued;

    unsent_free(ep->in_flight);
    ep->in_flight = NULL;
    ep->queued = NULL;
    if (!ep->open || status < 0) {
        unsent_free(next);
        if (!ep->open)
            return; /* cancelled by endpoint_close() */
        set_write_error(ep, status);
    } else if (next) {
        write_later(ep, next);
        if (ep->in_flight)
            return;
    } else if (ep->fin_wanted && !ep->fin_sent) {
        send_fin(ep);
    }
    ep->events->changed(ep);
}

static void queue_bytes(struct endpoint *ep, const uint8_t *bytes, size_t n)
{
    struct unsent *grown = unsent_append(ep->queued, bytes, n);

    if (grown)
        ep->queued = grown;
    else
        ep->write_error = UV_ENOMEM;
}

void endpoint_write(struct endpoint *ep, const uint8_t *bytes, size_t n)
{
    uv_buf_t buf = uv_buf_init((char *)bytes, (unsigned)n);
    struct unsent *rest;
    int sent;

    if (n == 0 || ep->error || ep->write_error || !ep->open)
        return;
    if (ep->in_flight) {
        queue_bytes(ep, bytes, n);
        return;
    }
    expect_acks(ep);
    sent = uv_try_write(&ep->uv.stream, &buf, 1);
    if (sent == UV_EAGAIN)
        sent = 0;
    if (sent < 0) {
        ep->write_error = sent;
        return;
    }
    if ((size_t)sent == n)
        return;
    rest = unsent_append(NULL, bytes + sent, n - (size_t)sent);
    if (rest)
        write_later(ep, rest);
    else
        ep->write_error = UV_ENOMEM;
}

void endpoint_shutdown(struct endpoint *ep)
{
    if (!ep->open || ep->fin_wanted)
        return;
    ep->fin_wanted = true;
    if (!ep->in_flight)
        send_fin(ep);
}

int endpoint_unsent(const struct endpoint *ep)
{
    return ep->open && ep->kind == STREAM_TCP ? sock_unsent(ep->watched.fd) : 0;
}

size_t endpoint_backlog(const struct endpoint *ep)
{
    if (!ep->open)
        return 0;
    return uv_stream_get_write_queue_size(&ep->uv.stream) + (size_t)sock_unsent(ep->watched.fd);
}

const char *endpoint_ending(const struct endpoint *ep)
{
    return ep->attachment ? ep->attachment->ops->ending(ep->attachment) : "";
}

bool endpoint_is_reset(const struct endpoint *ep)
{
    return ep->error || was_reset(ep) || (ep->kind == STREAM_TCP && ep->write_error);
}

bool endpoint_is_gone(const struct endpoint *ep)
{
    return endpoint_is_reset(ep)
           || (ep->write_error && ep->open && sock_unread(ep->watched.fd) == 0);
}

static void on_closed(uv_handle_t *handle)
{
    struct endpoint *ep = handle->data;

    ep->events->closed(ep);
}

void endpoint_close(struct endpoint *ep, bool reset)
{
    if (!ep->open)
        return;
    ep->open = false;
    update_watch(ep);
    if (reset && ep->kind == STREAM_TCP)
        sock_reset_on_close(ep->watched.fd);
    if (ep->attachment)
        ep->attachment->ops->release(ep->attachment, reset);
    ep->attachment = NULL;
    uv_close(&ep->uv.handle, on_closed);
}
