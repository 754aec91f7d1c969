#include "net/dial.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/hostname.h"
#include "base/sock.h"
#include "net/listening.h"

/* RFC 8305 section 5: the recommended delay before the next address is tried as well. */
#define STAGGER_MS 250

#define DETAIL_SIZE 512

/* One address being connected to. */
struct attempt {
    struct dial *dial;
    uv_poll_t poll;
    int fd;
    struct addr peer;
    LIST_ENTRY(attempt) link;
};

struct dial {
    struct dial_owner *owner; /* NULL: over, only handles remain to be closed */
    uv_loop_t *loop;
    struct resolver *resolver;
    const struct config_section *section;

    size_t next_target; /* of the section's addresses, or just its host */
    struct addr addresses[RESOLVER_ADDRESSES_MAX];
    size_t count;
    size_t next;
    bool looking;
    struct resolver_request request;
    LIST_HEAD(, attempt) attempts;
    uv_timer_t stagger;
    int holds; /* handles not yet closed */

    enum reason reason;
    char detail[DETAIL_SIZE];
};

static void advance(struct dial *d);

/* Of several failures the heaviest is the dial's; of equal ones the first. */
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

static void release(struct dial *d)
{
    if (--d->holds == 0)
        free(d);
}

static void on_stagger_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static void on_attempt_closed(uv_handle_t *handle)
{
    struct attempt *a = handle->data;

    release(a->dial);
    free(a);
}

/* Stops watching the descriptor; it is the caller's to close or to keep. */
static int end_attempt(struct attempt *a)
{
    LIST_REMOVE(a, link);
    uv_close((uv_handle_t *)&a->poll, on_attempt_closed);
    return a->fd;
}

/* Stops everything. The dial frees itself when its last handle has closed. */
static void end(struct dial *d)
{
    struct attempt *a;

    d->owner = NULL;
    resolver_cancel(&d->request);
    while ((a = LIST_FIRST(&d->attempts)))
        close(end_attempt(a));
    uv_close((uv_handle_t *)&d->stagger, on_stagger_closed);
}

static void fail(struct dial *d)
{
    struct dial_owner *owner = d->owner;
    char detail[DETAIL_SIZE];

    memcpy(detail, d->detail, sizeof(detail));
    end(d); /* d lives on until its handles have closed, after this callback */
    owner->failed(owner, d->reason == REASON_NONE ? REASON_RESOLVE : d->reason, detail);
}

/*
 * On loopback, a connect to a port that nobody listens on can meet itself, when the kernel picks
 * that very port as the source: tcp simultaneous open, RFC 9293 section 3.5.
 */
static bool is_self_connected(int fd, const struct addr *peer)
{
    struct addr local = {0};
    socklen_t len = sizeof(local) - offsetof(struct addr, sa);

    if (!addr_is_loopback(peer) || getsockname(fd, &local.sa, &len) != 0)
        return false;
    local.len = len;
    return addr_equal(&local, peer);
}

/* True for an address that this process listens on itself. */
static bool refuse_loop(struct dial *d, const struct addr *peer)
{
    char address[ADDR_TEXT_SIZE], why[LISTENING_TEXT_SIZE];

    if (!listening_find(peer, &d->section->bind, why))
        return false;
    note_failure(d, REASON_LOOP, addr_format(peer, address), why);
    return true;
}

/*
 * Looks at a connect that is over, for better or worse, and takes over the descriptor. True: the owner
 * has it, and d is over.
 */
static bool settle(struct dial *d, int fd, const struct addr *peer, int status)
{
    struct dial_owner *owner = d->owner;
    char text[ADDR_TEXT_SIZE];
    int error = 0;
    socklen_t len = sizeof(error);

    /* libuv says no more than EBADF of a failed connect; the socket knows why */
    (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error == 0)
        error = -status;
    if (error == 0 && is_self_connected(fd, peer))
        error = ECONNREFUSED;
    if (error) {
        close(fd);
        note_failure(d, REASON_CONNECT, addr_format(peer, text), strerror(error));
        return false;
    }
    /* a reload may have begun to listen there since */
    if (refuse_loop(d, peer)) {
        close(fd);
        return false;
    }
    end(d); /* d lives on until its handles have closed, after this callback */
    owner->connected(owner, fd, peer);
    return true;
}

static void on_writable(uv_poll_t *poll, int status, int events)
{
    struct attempt *a = poll->data;
    struct dial *d = a->dial;
    struct addr peer = a->peer;

    (void)events;
    if (!settle(d, end_attempt(a), &peer, status))
        advance(d);
}

/* A socket that connects, or -1 with errno. */
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

/* On this machine a connect is over before one could wait for it. */
static bool is_settled(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    return poll(&p, 1, 0) == 1;
}

enum started { STARTED, NOT_STARTED, DIALLED };

/* DIALLED: d is over. */
static enum started start_attempt(struct dial *d, const struct addr *peer)
{
    struct attempt *a = NULL;
    char text[ADDR_TEXT_SIZE];
    int fd, error;

    if (refuse_loop(d, peer))
        return NOT_STARTED;
    fd = start_connect(d->section, peer);
    error = fd < 0 ? errno : 0;
    if (!error && is_settled(fd))
        return settle(d, fd, peer, 0) ? DIALLED : NOT_STARTED;
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
    d->holds++;
    LIST_INSERT_HEAD(&d->attempts, a, link);
    uv_poll_start(&a->poll, UV_WRITABLE, on_writable);
    return STARTED;
}

static int family(const struct config_section *s)
{
    if (s->bind.len)
        return s->bind.sa.sa_family;
    if (s->family == FAMILY_IPV4)
        return AF_INET;
    return s->family == FAMILY_IPV6 ? AF_INET6 : AF_UNSPEC;
}

/* Takes over addresses of the right family, with the port. */
static void take_addresses(struct dial *d, const struct addr *list, size_t count, uint16_t port,
                           const char *what)
{
    const int wanted = family(d->section);
    size_t i;

    d->count = 0;
    d->next = 0;
    for (i = 0; i < count; i++) {
        if (wanted != AF_UNSPEC && list[i].sa.sa_family != wanted)
            continue;
        d->addresses[d->count] = list[i];
        addr_set_port(&d->addresses[d->count], port);
        d->count++;
    }
    if (d->count == 0)
        note_failure(d, REASON_RESOLVE, what, "no address of the wanted family");
}

static struct config_target target(const struct dial *d, size_t index)
{
    const struct config_section *s = d->section;
    struct config_target t = {.host = s->host, .port = (uint16_t)s->port};

    if (s->address.count) {
        t.host = s->address.items[index].host;
        if (s->address.items[index].port)
            t.port = s->address.items[index].port;
    }
    return t;
}

static void take_answer(struct dial *d)
{
    const struct config_target t = target(d, d->next_target - 1);

    d->looking = false;
    if (d->request.count)
        take_addresses(d, d->request.addresses, d->request.count, t.port, t.host);
    else
        note_failure(d, REASON_RESOLVE, t.host, d->request.error);
}

static void on_answer(struct resolver_request *request)
{
    struct dial *d = (struct dial *)((char *)request - offsetof(struct dial, request));

    take_answer(d);
    advance(d);
}

/* Starts on the next place to dial. False: there is none left. */
static bool next_target(struct dial *d)
{
    const size_t count = d->section->address.count ? d->section->address.count : 1;
    struct config_target t;
    struct addr ip;

    if (d->next_target == count)
        return false;
    t = target(d, d->next_target++);
    if (addr_from_ip(&ip, t.host, t.port)) {
        take_addresses(d, &ip, 1, t.port, t.host);
        return true;
    }
    d->looking = true;
    d->request.done = on_answer;
    if (resolver_ask(d->resolver, t.host, family(d->section), d->section->dns_ttl, &d->request))
        take_answer(d);
    return true;
}

static void on_stagger(uv_timer_t *timer)
{
    advance(timer->data);
}

/* Starts what can be started next; gives up when nothing is left or under way. */
static void advance(struct dial *d)
{
    while (!d->looking) {
        if (d->next < d->count) {
            switch (start_attempt(d, &d->addresses[d->next++])) {
            case NOT_STARTED:
                continue;
            case STARTED:
                uv_timer_start(&d->stagger, on_stagger, STAGGER_MS, 0);
                break;
            case DIALLED:
                break;
            }
            return;
        }
        if (!next_target(d)) {
            if (LIST_EMPTY(&d->attempts))
                fail(d);
            return;
        }
    }
}

struct dial *dial_start(uv_loop_t *loop, struct resolver *resolver,
                        const struct config_section *section, struct dial_owner *owner)
{
    struct dial *d = calloc(1, sizeof(*d));

    if (!d)
        return NULL;
    d->owner = owner;
    d->loop = loop;
    d->resolver = resolver;
    d->section = section;
    d->reason = REASON_NONE;
    LIST_INIT(&d->attempts);
    (void)uv_timer_init(loop, &d->stagger); /* cannot fail */
    d->stagger.data = d;
    d->holds = 1;
    /* from the loop rather than from here: the owner need not expect to be called at once */
    uv_timer_start(&d->stagger, on_stagger, 0, 0);
    return d;
}

void dial_cancel(struct dial *d)
{
    if (d)
        end(d);
}
