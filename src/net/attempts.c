#include "net/attempts.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sock.h"
#include "config/section.h"
#include "net/unreachable.h"

/* A connect that is in progress. */
struct attempt {
    struct attempts *set;
    uv_poll_t poll;
    int fd;
    struct addr peer;
    struct addr from;    /* len 0: the kernel chooses it */
    uint64_t started_at; /* loop time */
    TAILQ_ENTRY(attempt) link;
};

/* Attempts in addition to one for each dial, in the process. */
static struct {
    _Atomic int64_t max;
    _Atomic int64_t taken;
} spare = {INT64_MAX, 0};

void attempts_set_spare(int64_t max)
{
    atomic_store(&spare.max, max);
}

static bool borrow_spare(struct attempts *s)
{
    if (atomic_fetch_add(&spare.taken, 1) >= atomic_load(&spare.max)) {
        atomic_fetch_sub(&spare.taken, 1);
        return false;
    }
    s->borrowed++;
    return true;
}

/* Returns the spare attempts that are not in flight. */
static void return_spare(struct attempts *s)
{
    const int needed = s->in_flight > 1 ? s->in_flight - 1 : 0;

    atomic_fetch_sub(&spare.taken, s->borrowed - needed);
    s->borrowed = needed;
}

void attempts_init(struct attempts *s, uv_loop_t *loop, const struct attempts_ops *ops)
{
    *s = (struct attempts){.ops = ops, .loop = loop};
    TAILQ_INIT(&s->list);
}

bool attempts_has_room(struct attempts *s)
{
    if (s->in_flight == 0 || s->borrowed == s->in_flight)
        return true;
    return s->in_flight < ATTEMPTS_MAX && borrow_spare(s);
}

static void on_closed(uv_handle_t *handle)
{
    struct attempt *a = handle->data;

    a->set->ops->closed(a->set);
    free(a);
}

/* Ends an attempt and returns its descriptor, which the caller owns. */
static int end_attempt(struct attempt *a)
{
    struct attempts *s = a->set;

    TAILQ_REMOVE(&s->list, a, link);
    s->in_flight--;
    return_spare(s);
    uv_close((uv_handle_t *)&a->poll, on_closed);
    return a->fd;
}

/* A connect to this machine ends at once: without a poll handle for it, system calls are saved. */
static bool is_settled(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    return poll(&p, 1, 0) == 1;
}

static int64_t age_of(const struct attempt *a)
{
    return (int64_t)(uv_now(a->set->loop) - a->started_at);
}

void attempts_end(struct attempts *s, int64_t silent_ms)
{
    struct attempt *a;

    while ((a = TAILQ_FIRST(&s->list))) {
        if (age_of(a) >= silent_ms && !is_settled(a->fd))
            unreachable_note(&a->peer, uv_now(s->loop));
        close(end_attempt(a));
    }
    return_spare(s);
}

/* Returns true for an errno of a connect that says nothing of the peer. */
static bool is_local_error(int error)
{
    return error == EADDRNOTAVAIL || error == EACCES || error == EPERM
           || sock_error_is_shortage(error);
}

static void set_failure(struct attempt_result *result, const struct addr *peer, enum reason reason,
                        const char *why)
{
    result->peer = *peer;
    result->connected = false;
    result->reason = reason;
    snprintf(result->why, sizeof(result->why), "%s", why);
}

static void fail_attempt(struct attempts *s, const struct addr *peer, int error,
                         struct attempt_result *result)
{
    set_failure(result, peer, sock_error_is_shortage(error) ? REASON_FILES : REASON_CONNECT,
                strerror(error));
    if (!is_local_error(error))
        unreachable_note(peer, uv_now(s->loop));
}

/* Refuses an address that this process listens on. Returns true if it did. */
static bool refuse_loop(const struct addr *peer, const struct addr *from,
                        struct attempt_result *result)
{
    if (!listening_find(peer, from, result->why))
        return false;
    result->peer = *peer;
    result->connected = false;
    result->reason = REASON_LOOP;
    return true;
}

/* Checks how a connect has ended, and takes ownership of the descriptor. */
static void end_connect(struct attempts *s, int fd, const struct addr *peer,
                        const struct addr *from, int status, struct attempt_result *result)
{
    /* libuv reports a failed connect as EBADF; the socket knows the reason */
    int error = sock_take_error(fd);

    if (error == 0)
        error = -status;
    if (error == 0 && sock_is_self_connected(fd))
        error = ECONNREFUSED;
    if (error) {
        close(fd);
        fail_attempt(s, peer, error, result);
        return;
    }
    /* since the connect began, a reload may have bound that address */
    if (refuse_loop(peer, from, result)) {
        close(fd);
        return;
    }
    unreachable_forget(peer);
    result->peer = *peer;
    result->connected = true;
    result->stream = (struct stream){.fd = fd, .kind = STREAM_TCP, .peer = *peer};
}

static void on_writable(uv_poll_t *poll, int status, int events)
{
    struct attempt *a = poll->data;
    struct attempts *s = a->set;
    struct attempt_result result;

    (void)events;
    end_connect(s, end_attempt(a), &a->peer, &a->from, status, &result);
    s->ops->ended(s, &result);
}

/* Returns a socket that connects, or -1 with errno. */
static int start_connect(const struct config_section *section, const struct addr *peer)
{
    int fd = sock_open(peer->sa.sa_family), error;

    if (fd < 0)
        return -1;
    sock_tune(fd, peer->sa.sa_family, section->keepalive);
    if (section->bind.len && bind(fd, &section->bind.sa, section->bind.len) != 0)
        goto fail;
    if (connect(fd, &peer->sa, peer->len) == 0 || errno == EINPROGRESS)
        return fd;
fail:
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* Lets the loop watch a connect, and takes ownership of the descriptor. Returns 0 or an errno. */
static int watch_connect(struct attempts *s, int fd, const struct addr *peer,
                         const struct addr *from)
{
    struct attempt *a = calloc(1, sizeof(*a));
    const int error = a ? -uv_poll_init(s->loop, &a->poll, fd) : ENOMEM;

    if (error) {
        close(fd);
        free(a);
        return error;
    }
    a->set = s;
    a->fd = fd;
    a->peer = *peer;
    a->from = *from;
    a->poll.data = a;
    a->started_at = uv_now(s->loop);
    s->in_flight++;
    TAILQ_INSERT_TAIL(&s->list, a, link);
    uv_poll_start(&a->poll, UV_WRITABLE, on_writable);
    return 0;
}

static enum attempts_started try_address(struct attempts *s, const struct config_section *section,
                                         const struct addr *peer, struct attempt_result *result)
{
    const struct addr *from = &section->bind;
    int fd, error;

    if (refuse_loop(peer, from, result))
        return ATTEMPTS_ENDED;
    fd = start_connect(section, peer);
    if (fd >= 0 && is_settled(fd)) {
        end_connect(s, fd, peer, from, 0, result);
        return ATTEMPTS_ENDED;
    }
    error = fd < 0 ? errno : watch_connect(s, fd, peer, from);
    if (error == 0)
        return ATTEMPTS_STARTED;
    fail_attempt(s, peer, error, result);
    return ATTEMPTS_ENDED;
}

enum attempts_started attempts_start(struct attempts *s, const struct config_section *section,
                                     const struct addr *peer, struct attempt_result *result)
{
    const enum attempts_started started = try_address(s, section, peer, result);

    return_spare(s);
    return started;
}

int64_t attempts_age(const struct attempts *s)
{
    return age_of(TAILQ_FIRST(&s->list));
}

void attempts_give_up_oldest(struct attempts *s, struct attempt_result *result)
{
    struct attempt *a = TAILQ_FIRST(&s->list);
    char why[64];

    snprintf(why, sizeof(why), "no answer within %" PRId64 " ms", attempts_age(s));
    set_failure(result, &a->peer, REASON_CONNECT, why);
    unreachable_note(&a->peer, uv_now(s->loop));
    close(end_attempt(a));
}
