#include "net/endpoint.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sock.h"

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

/* Appends a copy; to nothing, when u is NULL. NULL: no memory, and u is as it was. */
static struct unsent *append(struct unsent *u, const uint8_t *bytes, size_t n)
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

static void discard(struct unsent *u)
{
    if (u)
        (void)atomic_fetch_sub_explicit(&held, u->len, memory_order_relaxed);
    free(u);
}

static int descriptor(const struct endpoint *ep)
{
    uv_os_fd_t fd = -1;

    (void)uv_fileno(&ep->uv.handle, &fd);
    return fd;
}

void endpoint_open(struct endpoint *ep, uv_loop_t *loop, int fd, bool is_tcp,
                   const struct endpoint_events *events, uint8_t *buffer, size_t buffer_size)
{
    memset(ep, 0, sizeof(*ep));
    ep->is_tcp = is_tcp;
    ep->events = events;
    ep->buffer = buffer;
    ep->buffer_size = buffer_size;
    /* neither can fail: they only fill in the handle */
    if (is_tcp)
        (void)uv_tcp_init(loop, &ep->uv.tcp);
    else
        (void)uv_pipe_init(loop, &ep->uv.pipe, 0);
    ep->uv.handle.data = ep;
    ep->open = true;
    ep->error = is_tcp ? uv_tcp_open(&ep->uv.tcp, fd) : uv_pipe_open(&ep->uv.pipe, fd);
    if (ep->error)
        close(fd);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct endpoint *ep = handle->data;

    (void)suggested;
    *buf = uv_buf_init((char *)ep->buffer, (unsigned)ep->buffer_size);
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
    if (n == UV_EOF)
        ep->ended = true;
    else
        ep->error = (int)n;
    ep->events->changed(ep);
}

void endpoint_want_read(struct endpoint *ep, bool want)
{
    if (!ep->open || ep->ended || ep->error)
        want = false;
    if (want == ep->reading)
        return;
    ep->reading = want;
    if (want)
        ep->error = uv_read_start(&ep->uv.stream, on_alloc, on_read);
    else
        uv_read_stop(&ep->uv.stream);
}

bool endpoint_is_idle(const struct endpoint *ep)
{
    return !ep->in_flight;
}

size_t endpoint_queued(const struct endpoint *ep)
{
    return ep->queued ? ep->queued->len : 0;
}

static void finish_now(struct endpoint *ep)
{
    /* nothing is in libuv's queue, so the FIN cannot overtake anything */
    ep->finished = true;
    (void)shutdown(descriptor(ep), SHUT_WR);
}

static void on_written(uv_write_t *request, int status);

static void write_later(struct endpoint *ep, struct unsent *u)
{
    uv_buf_t buf = uv_buf_init((char *)u->bytes, (unsigned)u->len);
    int error = uv_write(&u->request, &ep->uv.stream, &buf, 1, on_written);

    if (error) {
        discard(u);
        ep->write_error = error;
        return;
    }
    ep->in_flight = u;
}

static void on_written(uv_write_t *request, int status)
{
    struct endpoint *ep = request->handle->data;
    struct unsent *next = ep->queued;

    discard(ep->in_flight);
    ep->in_flight = NULL;
    ep->queued = NULL;
    if (!ep->open || status < 0) {
        discard(next);
        if (!ep->open)
            return; /* cancelled by endpoint_close() */
        ep->write_error = status;
    } else if (next) {
        write_later(ep, next);
        if (ep->in_flight)
            return;
    } else if (ep->finish && !ep->finished) {
        finish_now(ep);
    }
    ep->events->changed(ep);
}

static void queue(struct endpoint *ep, const uint8_t *bytes, size_t n)
{
    struct unsent *grown = append(ep->queued, bytes, n);

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
        queue(ep, bytes, n);
        return;
    }
    sent = uv_try_write(&ep->uv.stream, &buf, 1);
    if (sent == UV_EAGAIN)
        sent = 0;
    if (sent < 0) {
        ep->write_error = sent;
        return;
    }
    if ((size_t)sent == n)
        return;
    rest = append(NULL, bytes + sent, n - (size_t)sent);
    if (rest)
        write_later(ep, rest);
    else
        ep->write_error = UV_ENOMEM;
}

void endpoint_finish(struct endpoint *ep)
{
    if (!ep->open || ep->finish)
        return;
    ep->finish = true;
    if (!ep->in_flight)
        finish_now(ep);
}

int endpoint_unsent(const struct endpoint *ep)
{
    return ep->open && ep->is_tcp ? sock_unsent(descriptor(ep)) : 0;
}

bool endpoint_is_gone(const struct endpoint *ep)
{
    /* no events asked for: poll(2) tells errors and hang-ups all the same */
    struct pollfd p = {.fd = descriptor(ep)};

    return ep->open && poll(&p, 1, 0) == 1;
}

static void on_closed(uv_handle_t *handle)
{
    struct endpoint *ep = handle->data;

    ep->events->closed(ep);
}

void endpoint_close(struct endpoint *ep, bool reset)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};

    if (!ep->open)
        return;
    ep->open = false;
    if (reset && ep->is_tcp)
        (void)setsockopt(descriptor(ep), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    uv_close(&ep->uv.handle, on_closed);
}
