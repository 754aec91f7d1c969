#include "net/connector.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sock.h"
#include "base/util.h"
#include "net/listening.h"

/* How soon a Unix socket is tried again whose backlog is full. */
#define RETRY_MS 20

struct connector {
    struct transport transport;
    struct addr to;
    uv_timer_t timer; /* before each try */
    uv_poll_t poll;   /* of a connect that is in progress */
    int fd;           /* of that; -1: there is none */
    int holds;        /* handles not yet closed */
};

static struct connector *from_transport(struct transport *t)
{
    return container_of(t, struct connector, transport);
}

static void on_closed(uv_handle_t *handle)
{
    struct connector *c = handle->data;

    if (--c->holds == 0)
        free(c);
}

/* Ends the connect in progress. Returns its descriptor, which the caller owns. */
static int take_socket(struct connector *c)
{
    const int fd = c->fd;

    c->fd = -1;
    if (fd >= 0)
        uv_close((uv_handle_t *)&c->poll, on_closed);
    return fd;
}

static void connector_end(struct connector *c)
{
    const int fd = take_socket(c);

    if (fd >= 0)
        close(fd);
    uv_close((uv_handle_t *)&c->timer, on_closed);
}

static struct transport_owner *take_owner(struct connector *c)
{
    struct transport_owner *owner = c->transport.owner;

    c->transport.owner = NULL;
    return owner;
}

static void connector_fail(struct connector *c, enum reason reason, const char *why)
{
    struct transport_owner *owner = take_owner(c);
    char text[ADDR_TEXT_SIZE], detail[ADDR_TEXT_SIZE + LISTENING_TEXT_SIZE];

    snprintf(detail, sizeof(detail), "%s: %s", addr_format(&c->to, text), why);
    connector_end(c);
    owner->failed(owner, reason, detail);
}

/* Explains an error of connect(2) where strerror(3) alone is no help. */
static const char *explain(const struct addr *to, int error)
{
    struct stat st;

    if (to->sa.sa_family == AF_UNIX && error == ECONNREFUSED)
        return stat(to->un.sun_path, &st) == 0 && !S_ISSOCK(st.st_mode)
                   ? "it is no socket"
                   : "Connection refused: no program listens on it";
    if (to->sa.sa_family == AF_UNIX && error == EPROTOTYPE)
        return "it is a socket for datagrams, not a stream";
    if (to->sa.sa_family == AF_VSOCK && error == ECONNRESET)
        return "Connection refused: no program listens on that port";
    if (to->sa.sa_family == AF_VSOCK && error == ENODEV)
        return "no virtual machine of that CID can be reached";
    if (to->sa.sa_family == AF_VSOCK && error == EAFNOSUPPORT)
        return "the kernel has no vsock, or the service may not use it (RestrictAddressFamilies=)";
    return strerror(error);
}

static void fail_with(struct connector *c, int error)
{
    connector_fail(c, sock_error_is_shortage(error) ? REASON_FILES : REASON_CONNECT,
                   explain(&c->to, error));
}

/* Refuses an address that this process listens on. Returns true if it did, and c has ended. */
static bool refuse_loop(struct connector *c)
{
    const struct addr any = {0};
    char why[LISTENING_TEXT_SIZE];

    if (!listening_find(&c->to, &any, why))
        return false;
    connector_fail(c, REASON_LOOP, why);
    return true;
}

static void hand_over(struct connector *c, int fd)
{
    struct transport_owner *owner;
    struct stream stream = {.fd = fd, .kind = STREAM_SOCKET, .peer = c->to};

    /* since the connect began, a reload may have bound that address */
    if (refuse_loop(c)) {
        close(fd);
        return;
    }
    owner = take_owner(c);
    connector_end(c); /* c is not freed before its handles are closed, after this callback */
    owner->connected(owner, &stream);
}

static void on_writable(uv_poll_t *poll, int status, int events)
{
    struct connector *c = poll->data;
    const int fd = take_socket(c);
    /* libuv reports a failed connect as EBADF; the socket knows the reason */
    int error = sock_take_error(fd);

    (void)events;
    if (error == 0)
        error = -status;
    if (error == 0) {
        hand_over(c, fd);
        return;
    }
    close(fd);
    fail_with(c, error);
}

/* Waits for a connect that is in progress. Takes ownership of the descriptor. */
static void wait_writable(struct connector *c, int fd)
{
    const int error = -uv_poll_init(c->timer.loop, &c->poll, fd);

    if (error) {
        close(fd);
        fail_with(c, error);
        return;
    }
    c->poll.data = c;
    c->fd = fd;
    c->holds++;
    uv_poll_start(&c->poll, UV_WRITABLE, on_writable);
}

/* Lets a connect over vsock last as long as the owner wants; the kernel's limit is two seconds. */
static void lift_vsock_limit(int fd)
{
    const struct timeval day = {.tv_sec = 24 * 60 * 60};

    (void)setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &day, sizeof(day));
}

static void on_try(uv_timer_t *timer)
{
    struct connector *c = timer->data;
    int fd, error;

    if (refuse_loop(c))
        return;
    fd = sock_open(c->to.sa.sa_family);
    if (fd >= 0 && c->to.sa.sa_family == AF_VSOCK)
        lift_vsock_limit(fd);
    if (fd >= 0 && connect(fd, &c->to.sa, c->to.len) == 0) {
        hand_over(c, fd);
        return;
    }
    error = errno;
    if (fd >= 0 && error == EINPROGRESS) {
        wait_writable(c, fd);
        return;
    }
    if (fd >= 0)
        close(fd);
    if (fd >= 0 && error == EAGAIN) { /* unix(7): the backlog is full */
        c->transport.obstacle = "the backlog of the server's socket is full";
        uv_timer_start(&c->timer, on_try, RETRY_MS, 0);
        return;
    }
    fail_with(c, error);
}

struct transport *connector_start(const struct transport_ops *ops, uv_loop_t *loop,
                                  const struct addr *to, struct transport_owner *owner)
{
    struct connector *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->transport = (struct transport){.ops = ops, .owner = owner};
    c->to = *to;
    c->fd = -1;
    c->holds = 1;
    (void)uv_timer_init(loop, &c->timer); /* cannot fail */
    c->timer.data = c;
    /* from the loop, so that the owner is never called from within this function */
    uv_timer_start(&c->timer, on_try, 0, 0);
    return &c->transport;
}

void connector_set_section(struct transport *t, const struct config_section *section)
{
    (void)t;
    (void)section;
}

void connector_cancel(struct transport *t)
{
    struct connector *c = from_transport(t);

    (void)take_owner(c);
    connector_end(c);
}
