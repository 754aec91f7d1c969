#include "dialing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"
#include "net/unreachable.h"

struct thread dialing_thread;
int dialing_before;
struct dialing_result dialing_result;

int dialing_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

void dialing_forget(struct dialing *c)
{
    config_free(c->config);
    memset(c, 0xa5, sizeof(*c));
    free(c);
}

static void on_connected(struct transport_owner *owner, const struct stream *stream)
{
    dialing_result.calls++;
    dialing_result.fd = stream->fd;
    dialing_result.kind = stream->kind;
    dialing_result.attachment = stream->attachment;
    dialing_result.peer = stream->peer;
    dialing_forget(container_of(owner, struct dialing, owner));
}

static void on_failed(struct transport_owner *owner, enum reason reason, const char *detail)
{
    dialing_result.calls++;
    dialing_result.reason = reason;
    snprintf(dialing_result.detail, sizeof(dialing_result.detail), "%s", detail);
    dialing_forget(container_of(owner, struct dialing, owner));
}

struct dialing *dialing_new(const char *host, uint16_t port)
{
    struct dialing *c = calloc(1, sizeof(*c));

    assert_non_null(c);
    memset(&dialing_result, 0, sizeof(dialing_result));
    dialing_result.fd = -1;
    c->owner.connected = on_connected;
    c->owner.failed = on_failed;
    c->config = config_new_adhoc(host, &c->section);
    c->section->port = port;
    return c;
}

void dialing_add(struct dialing *c, const char *host, uint16_t port)
{
    struct config_targets *list = &c->section->address;

    list->items = arena_grow(&c->config->arena, list->items, list->count, sizeof(*list->items));
    list->items[list->count].host = arena_strdup(&c->config->arena, host);
    list->items[list->count++].port = port;
}

void dialing_start_over(struct dialing *c, const struct transport_ops *ops)
{
    c->transport = transport_start(ops, &dialing_thread.loop, dialing_thread.resolver, c->section,
                                   &c->owner);
    assert_non_null(c->transport);
    assert_int_equal(dialing_result.calls, 0); /* never from within */
}

void dialing_start(struct dialing *c)
{
    dialing_start_over(c, &transport_tcp);
}

void dialing_wait(int count)
{
    while (names_asked() < count) {
        uv_run(&dialing_thread.loop, UV_RUN_NOWAIT);
        if (dialing_result.calls)
            fail_msg("it was over before: %s", dialing_result.detail);
        usleep(1000);
    }
}

void dialing_finish(void)
{
    uv_run(&dialing_thread.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_alive(&dialing_thread.loop), 0);
    assert_int_equal(dialing_result.calls, 1);
}

void dialing_assert_failed(enum reason reason, const char *detail)
{
    assert_int_equal(dialing_result.calls, 1);
    assert_int_equal(dialing_result.fd, -1);
    if (dialing_result.reason != reason)
        fail_msg("failed with %s (%s) instead of %s", reason_name(dialing_result.reason),
                 dialing_result.detail, reason_name(reason));
    assert_contains(dialing_result.detail, detail);
}

int dialing_bind(const char *ip, uint16_t port, uint16_t *got)
{
    struct addr at;
    socklen_t len = sizeof(at.in6);
    int fd;

    assert_true(addr_from_ip(&at, ip, port));
    fd = socket(at.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    if (bind(fd, &at.sa, at.len) != 0)
        fail_msg("bind to %s: %s", ip, strerror(errno));
    assert_int_equal(getsockname(fd, &at.sa, &len), 0);
    *got = addr_port(&at);
    return fd;
}

void dialing_close(const int *fds, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++)
        close(fds[i]);
}

int dialing_listen(const char *ip, uint16_t *port)
{
    int fd = dialing_bind(ip, 0, port);

    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

int dialing_refuse(const char *ip, uint16_t *port)
{
    return dialing_bind(ip, 0, port);
}

void dialing_bind_all(const char *const *ips, size_t count, uint16_t *port,
                      int fds[DIALING_ADDRESSES_MAX])
{
    struct addr at;
    size_t n = 0;

    while (n < count) {
        fds[0] = dialing_bind(ips[0], 0, port);
        for (n = 1; n < count; n++) {
            assert_true(addr_from_ip(&at, ips[n], *port));
            fds[n] = socket(at.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
            assert_true(fds[n] >= 0);
            if (bind(fds[n], &at.sa, at.len) != 0)
                break;
        }
        if (n < count)
            dialing_close(fds, n + 1);
    }
}

void dialing_silence(const char *ip, uint16_t *port, int fds[2])
{
    struct pollfd full;
    struct addr at;

    fds[0] = dialing_bind(ip, 0, port);
    assert_int_equal(listen(fds[0], 0), 0);
    assert_true(addr_from_ip(&at, ip, *port));
    fds[1] = socket(at.sa.sa_family, SOCK_STREAM, 0);
    assert_int_equal(connect(fds[1], &at.sa, at.len), 0);
    /* connect(2) returns before the last packet of the handshake has arrived */
    full = (struct pollfd){.fd = fds[0], .events = POLLIN};
    assert_int_equal(poll(&full, 1, -1), 1);
}

void dialing_assert_connected(int listener, uint16_t port)
{
    struct addr at;
    socklen_t len = sizeof(at.in6);
    char c = 0;
    int fd;

    assert_int_equal(dialing_result.calls, 1);
    if (dialing_result.fd < 0)
        fail_msg("%s", dialing_result.detail);
    assert_int_equal(dialing_result.kind, STREAM_TCP);
    assert_int_equal(addr_port(&dialing_result.peer), port);
    assert_true(fcntl(dialing_result.fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(dialing_result.fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(getpeername(dialing_result.fd, &at.sa, &len), 0);
    at.len = len;
    assert_true(addr_equal(&at, &dialing_result.peer));
    fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    assert_int_equal(write(dialing_result.fd, "x", 1), 1);
    assert_int_equal(read(fd, &c, 1), 1);
    assert_int_equal(c, 'x');
    close(fd);
    close(dialing_result.fd);
    assert_int_equal(accept(listener, NULL, NULL), -1); /* and no other */
}

int dialing_setup(void **state)
{
    (void)state;
    names_reset();
    unreachable_clear();
    if (thread_init(&dialing_thread) != 0)
        return -1;
    uv_run(&dialing_thread.loop, UV_RUN_NOWAIT);
    dialing_before = dialing_descriptors();
    return 0;
}

/* Nothing is on the loop any more, and every descriptor is closed. */
int dialing_teardown(void **state)
{
    int left;

    (void)state;
    names_release();
    left = dialing_descriptors() - dialing_before;
    thread_close(&dialing_thread);
    uv_run(&dialing_thread.loop, UV_RUN_DEFAULT);
    thread_free(&dialing_thread);
    if (left)
        fprintf(stderr, "%d descriptors left open\n", left);
    return left;
}

int dialing_group_setup(void **state)
{
    struct thread first;

    (void)state;
    alarm(120); /* what never comes is a failure as well */
    /* descriptors that libuv opens once are none of a test's */
    if (thread_init(&first) != 0)
        return -1;
    uv_run(&first.loop, UV_RUN_NOWAIT);
    thread_close(&first);
    uv_run(&first.loop, UV_RUN_DEFAULT);
    thread_free(&first);
    return 0;
}
