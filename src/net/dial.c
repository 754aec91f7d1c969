#include "net/dial.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sock.h"
#include "base/util.h"
#include "net/listening.h"
#include "net/target.h"

/* RFC 8305 section 5: the recommended delay before the next address is tried as well. */
#define STAGGER_MS 250

/* Attempts of one dial at once. */
#define ATTEMPTS_MAX 3

/* How long an attempt lasts at most while another address waits. */
#define PATIENCE_MS 1500

/* A connect that is in progress. */
struct dial_attempt {
    struct dial *dial;
    uv_poll_t poll;
    int fd;
    struct addr peer;
    uint64_t started_at; /* loop time */
    TAILQ_ENTRY(dial_attempt) link;
};

/* Attempts in addition to one for each dial, in the process. */
static struct {
    _Atomic int64_t max;
    _Atomic int64_t taken;
} spare = {INT64_MAX, 0};

static void dial_advance(struct dial *d);

/*
 * A dial fails for the reason that weighs most among those of its attempts, and the first of them.
 */
static int weight(enum reason reason)
{
    switch (reason) {
    case REASON_NONE:
        return 0;
    case REASON_RESOLVE:
        return 1;
    case REASON_LOOP:
        return 2;
    case REASON_FILES:
        return 4;
    default:
        return 3;
    }
}

void dial_set_spare(int64_t attempts)
{
    atomic_store(&spare.max, attempts);
}

static bool borrow_spare(struct dial *d)
{
    if (atomic_fetch_add(&spare.taken, 1) >= atomic_load(&spare.max)) {
        atomic_fetch_sub(&spare.taken, 1);
        return false;
    }
    d->borrowed++;
    return true;
}

/* Returns the spare attempts that are not in flight. */
static void return_spare(struct dial *d)
{
    const int needed = d->in_flight > 1 ? d->in_flight - 1 : 0;

    atomic_fetch_sub(&spare.taken, d->borrowed - needed);
    d->borrowed = needed;
}

static void note_failure(struct dial *d, enum reason reason, const char *what, const char *why)
{
    size_t used = strlen(d->detail);
    struct log_line l;

    log_begin(&l, LOG_LEVEL_DEBUG, "dial_failed", d->section->name);
    log_add(&l, "upstream", what);
    log_add(&l, "detail", why);
    log_end(&l);
    snprintf(d->detail + used, sizeof(d->detail) - used, "%s%s: %s", used ? "; " : "", what, why);
    if (weight(reason) > weight(d->reason))
        d->reason = reason;
}

static void dial_release(struct dial *d)
{
    if (--d->holds == 0)
        d->ops->closed(d);
}

static void on_stagger_closed(uv_handle_t *handle)
{
    dial_release(handle->data);
}

static void on_attempt_closed(uv_handle_t *handle)
{
    struct dial_attempt *a = handle->data;

    dial_release(a->dial);
    free(a);
}

/* Ends an attempt and returns its descriptor, which the caller owns. */
static int end_attempt(struct dial_attempt *a)
{
    struct dial *d = a->dial;

    TAILQ_REMOVE(&d->attempts, a, link);
    d->in_flight--;
    uv_close((uv_handle_t *)&a->poll, on_attempt_closed);
    return a->fd;
}

/* Stops everything. closed() is called when the last handle is closed. */
static void dial_end(struct dial *d)
{
    struct dial_attempt *a;

    resolver_cancel(&d->request);
    while ((a = TAILQ_FIRST(&d->attempts)))
        close(end_attempt(a));
    return_spare(d);
    uv_close((uv_handle_t *)&d->stagger, on_stagger_closed);
}

static void dial_fail(struct dial *d)
{
    dial_end(d); /* d is not freed before its handles are closed, after this callback */
    d->ops->failed(d, d->reason == REASON_NONE ? REASON_RESOLVE : d->reason, d->detail);
}

/* Refuses an address that this process listens on. Returns true if it did. */
static bool refuse_loop(struct dial *d, const struct addr *peer)
{
    char address[ADDR_TEXT_SIZE], why[LISTENING_TEXT_SIZE];

    if (!listening_find(peer, &d->section->bind, why))
        return false;
    note_failure(d, REASON_LOOP, addr_format(peer, address), why);
    return true;
}

/*
 * Checks how a connect has ended, and takes ownership of the descriptor. Returns true if it has
 * succeeded: the owner has the stream, and d has ended.
 */
static bool end_connect(struct dial *d, int fd, const struct addr *peer, int status)
{
    char text[ADDR_TEXT_SIZE];
    struct stream stream;
    /* libuv reports a failed connect as EBADF; the socket knows the reason */
    int error = sock_take_error(fd);

    if (error == 0)
        error = -status;
    if (error == 0 && sock_is_self_connected(fd))
        error = ECONNREFUSED;
    if (error) {
        close(fd);
        note_failure(d, REASON_CONNECT, addr_format(peer, text), strerror(error));
        return false;
    }
    /* since the connect began, a reload may have bound that address */
    if (refuse_loop(d, peer)) {
        close(fd);
        return false;
    }
    stream = (struct stream){.fd = fd, .is_tcp = true, .peer = *peer};
    dial_end(d); /* d is not freed before its handles are closed, after this callback */
    d->ops->connected(d, &stream);
    return true;
}

static void on_writable(uv_poll_t *poll, int status, int events)
{
    struct dial_attempt *a = poll->data;
    struct dial *d = a->dial;
    struct addr peer = a->peer;

    (void)events;
    if (end_connect(d, end_attempt(a), &peer, status))
        return;
    return_spare(d);
    dial_advance(d);
}

/* Returns a socket that connects, or -1 with errno. */
static int start_connect(const struct config_section *s, const struct addr *peer)
{
    int fd = sock_open(peer->sa.sa_family), error;

    if (fd < 0)
        return -1;
    sock_tune(fd, peer->sa.sa_family, s->keepalive);
    if (s->bind.len && bind(fd, &s->bind.sa, s->bind.len) != 0)
        goto fail;
    if (connect(fd, &peer->sa, peer->len) == 0 || errno == EINPROGRESS)
        return fd;
fail:
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* A connect to this machine ends at once: without a poll handle for it, system calls are saved. */
static bool is_settled(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    return poll(&p, 1, 0) == 1;
}

enum started { STARTED, NOT_STARTED, DIALLED };

/* Tries an address. If the result is DIALLED, d has ended. */
static enum started start_attempt(struct dial *d, const struct addr *peer)
{
    struct dial_attempt *a = NULL;
    char text[ADDR_TEXT_SIZE];
    int fd, error;

    if (refuse_loop(d, peer))
        return NOT_STARTED;
    fd = start_connect(d->section, peer);
    error = fd < 0 ? errno : 0;
    if (!error && is_settled(fd))
        return end_connect(d, fd, peer, 0) ? DIALLED : NOT_STARTED;
    if (!error) {
        a = calloc(1, sizeof(*a));
        error = a ? -uv_poll_init(d->loop, &a->poll, fd) : ENOMEM;
    }
    if (error) {
        note_failure(d, sock_error_is_shortage(error) ? REASON_FILES : REASON_CONNECT,
                     addr_format(peer, text), strerror(error));
        if (fd >= 0)
            close(fd);
        free(a);
        return NOT_STARTED;
    }
    a->dial = d;
    a->fd = fd;
    a->peer = *peer;
    a->poll.data = a;
    a->started_at = uv_now(d->loop);
    d->holds++;
    d->in_flight++;
    TAILQ_INSERT_TAIL(&d->attempts, a, link);
    uv_poll_start(&a->poll, UV_WRITABLE, on_writable);
    return STARTED;
}

static void take_addresses(struct dial *d, const struct addr *list, size_t count,
                           const struct config_target *t)
{
    d->next = 0;
    d->count = target_addresses(d->section, list, count, t->port, d->addresses);
    if (d->count == 0)
        note_failure(d, REASON_RESOLVE, t->host,
                     target_family(d->section) == AF_INET6
                         ? "no IPv6 address, which family or bind requires"
                         : "no IPv4 address, which family or bind requires");
}

static void take_answer(struct dial *d)
{
    const struct config_target t = target_at(d->section, d->next_target - 1);

    d->looking = false;
    if (d->request.count)
        take_addresses(d, d->request.addresses, d->request.count, &t);
    else
        note_failure(d, REASON_RESOLVE, t.host, d->request.error);
}

static void on_answer(struct resolver_request *request)
{
    struct dial *d = container_of(request, struct dial, request);

    take_answer(d);
    dial_advance(d);
}

/* Begins with the next target. Returns false if there is none. */
static bool next_target(struct dial *d)
{
    struct config_target t;
    struct addr ip;

    if (d->next_target >= target_count(d->section))
        return false;
    t = target_at(d->section, d->next_target++);
    if (addr_from_ip(&ip, t.host, t.port)) {
        take_addresses(d, &ip, 1, &t);
        return true;
    }
    d->looking = true;
    d->request.done = on_answer;
    if (resolver_ask(d->resolver, t.host, target_family(d->section), d->section->dns_ttl,
                     &d->request))
        take_answer(d);
    return true;
}

static void on_stagger(uv_timer_t *timer)
{
    dial_advance(timer->data);
}

/*
 * Returns how long an attempt may last while another address waits, in milliseconds. Each address
 * has an equal share of the rest of connect_timeout, and those in flight use theirs together. The
 * bounds are explained in dial.h.
 */
static int64_t patience(const struct dial *d)
{
    const int64_t left = d->section->connect_timeout - (int64_t)(uv_now(d->loop) - d->started_at);
    const size_t waiting = d->count - d->next + target_count(d->section) - d->next_target;
    const int64_t share = left * d->in_flight / ((int64_t)waiting + d->in_flight);
    const int64_t least = (int64_t)d->in_flight * STAGGER_MS;

    if (share < least)
        return least;
    return share < PATIENCE_MS ? share : PATIENCE_MS;
}

static void give_way(struct dial_attempt *a, int64_t age)
{
    struct dial *d = a->dial;
    char text[ADDR_TEXT_SIZE], why[64];

    snprintf(why, sizeof(why), "no answer within %" PRId64 " ms", age);
    note_failure(d, REASON_CONNECT, addr_format(&a->peer, text), why);
    close(end_attempt(a));
    return_spare(d);
}

/*
 * Ends attempts that have had their time. Returns true if another one may start; otherwise the
 * timer is set for the end of the oldest one.
 */
static bool make_room(struct dial *d)
{
    struct dial_attempt *oldest;
    int64_t age;

    while (d->in_flight > 0 && (d->in_flight == ATTEMPTS_MAX || !borrow_spare(d))) {
        oldest = TAILQ_FIRST(&d->attempts);
        age = (int64_t)(uv_now(d->loop) - oldest->started_at);
        if (age < patience(d)) {
            uv_timer_start(&d->stagger, on_stagger, (uint64_t)(patience(d) - age), 0);
            return false;
        }
        give_way(oldest, age);
    }
    return true;
}

/* Starts what can be started next. Fails if no address is left and none is being tried. */
static void dial_advance(struct dial *d)
{
    enum started started;

    while (!d->looking) {
        if (d->next == d->count) {
            if (next_target(d))
                continue;
            if (d->in_flight == 0)
                dial_fail(d);
            return;
        }
        if (!make_room(d))
            return;
        started = start_attempt(d, &d->addresses[d->next++]);
        if (started == NOT_STARTED) {
            return_spare(d);
            continue;
        }
        if (started == STARTED)
            uv_timer_start(&d->stagger, on_stagger, STAGGER_MS, 0);
        return;
    }
}

void dial_start(struct dial *d, uv_loop_t *loop, struct resolver *resolver,
                const struct config_section *section, const struct dial_ops *ops)
{
    d->ops = ops;
    d->loop = loop;
    d->resolver = resolver;
    d->section = section;
    d->reason = REASON_NONE;
    d->started_at = uv_now(loop);
    TAILQ_INIT(&d->attempts);
    (void)uv_timer_init(loop, &d->stagger); /* cannot fail */
    d->stagger.data = d;
    d->holds = 1;
    /* from the loop, so that the owner is never called from within this function */
    uv_timer_start(&d->stagger, on_stagger, 0, 0);
}

void dial_set_section(struct dial *d, const struct config_section *section)
{
    d->section = section;
}

void dial_cancel(struct dial *d)
{
    dial_end(d);
}
