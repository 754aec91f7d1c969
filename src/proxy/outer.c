#include "proxy/outer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"
#include "net/stream.h"
#include "net/transport.h"
#include "proxy/connlog.h"
#include "proxy/tunnels.h"

/* It is freed when nothing of this is left. */
enum { HELD_BY_USER = 1, HELD_BY_TIMER = 2, HELD_BY_TUNNEL = 4 };

struct outer {
    struct transport transport; /* until the owner is called */
    struct attachment attachment;
    uv_timer_t timer; /* calls the owner from the loop, and not from within the tunnel */
    unsigned held;
    int fd;                /* the end of the section, until it is handed over; -1: none */
    struct tunnel *tunnel; /* NULL: it did not start, or is freed */
    bool opened;
    bool ended;
    bool failed;        /* it has ended, and not in order */
    enum reason reason; /* to fail with */
    char detail[512];   /* how it has ended by itself, or "" */
    char name[];
};

static void drop(struct outer *o, unsigned hold)
{
    o->held &= ~hold;
    if (o->held == 0)
        free(o);
}

static void on_timer_closed(uv_handle_t *handle)
{
    drop(handle->data, HELD_BY_TIMER);
}

static void close_timer(struct outer *o)
{
    if (!uv_is_closing((uv_handle_t *)&o->timer))
        uv_close((uv_handle_t *)&o->timer, on_timer_closed);
}

static void close_end(struct outer *o)
{
    if (o->fd >= 0)
        close(o->fd);
    o->fd = -1;
}

static void kill_tunnel(struct outer *o)
{
    if (o->tunnel && !o->ended)
        tunnel_kill(o->tunnel, REASON_CLIENT_RESET);
}

/* The attachment of the section's connection. */

static struct outer *from_attachment(const struct attachment *a)
{
    return container_of(a, struct outer, attachment);
}

/* A tunnel notes its end before it closes its end of the pair. */
static bool has_ended(struct attachment *a)
{
    (void)a;
    return true;
}

static const char *ending(const struct attachment *a)
{
    return from_attachment(a)->detail;
}

static bool has_failed(const struct attachment *a)
{
    return from_attachment(a)->failed;
}

static void release(struct attachment *a, bool reset)
{
    struct outer *o = from_attachment(a);

    if (reset)
        kill_tunnel(o);
    drop(o, HELD_BY_USER);
}

static const struct attachment_ops attachment_ops = {has_ended, ending, has_failed, release};

/* The transport. */

static void on_settled(uv_timer_t *timer)
{
    struct outer *o = timer->data;
    struct transport_owner *owner = o->transport.owner;
    const struct stream stream = {.fd = o->fd, .kind = STREAM_SOCKET, .attachment = &o->attachment};

    o->transport.owner = NULL;
    close_timer(o);
    if (o->opened && !o->ended) {
        o->fd = -1;
        owner->connected(owner, &stream);
        return;
    }
    close_end(o);
    owner->failed(owner, o->reason, o->detail);
    drop(o, HELD_BY_USER);
}

static void settle(struct outer *o)
{
    if (o->transport.owner)
        uv_timer_start(&o->timer, on_settled, 0, 0);
}

static void fail(struct outer *o, enum reason reason, const char *detail)
{
    o->reason = reason;
    snprintf(o->detail, sizeof(o->detail), "%s", detail);
    settle(o);
}

static void set_section(struct transport *t, const struct config_section *section)
{
    (void)t;
    (void)section; /* a reload reaches the tunnel by itself */
}

static void cancel(struct transport *t)
{
    struct outer *o = container_of(t, struct outer, transport);

    t->owner = NULL;
    close_end(o);
    kill_tunnel(o);
    close_timer(o);
    drop(o, HELD_BY_USER);
}

static const struct transport_ops outer_ops = {NULL, set_section, cancel};

/* The tunnel. */

static void on_opening(struct tunnel *t, void *owner)
{
    struct outer *o = owner;

    (void)t;
    o->opened = true;
    settle(o);
}

static void on_ended(struct tunnel *t, enum reason reason, const char *detail, void *owner)
{
    struct outer *o = owner;

    o->ended = true;
    o->failed = reason != REASON_OK || tunnel_is_cut(t);
    o->reason = REASON_VIA;
    if (o->failed || o->transport.owner)
        snprintf(o->detail, sizeof(o->detail), "[%s]: %s%s%s", o->name, reason_name(reason),
                 detail && *detail ? ": " : "", detail ? detail : "");
    if (!o->opened)
        settle(o);
}

static void on_freed(struct tunnel *t, void *owner)
{
    struct outer *o = owner;

    (void)t;
    o->tunnel = NULL;
    drop(o, HELD_BY_TUNNEL);
}

static const struct tunnel_events events = {
    .opening = on_opening, .ended = on_ended, .freed = on_freed};

/* Counts a tunnel of the outer section. Returns false if it has its maximum already. */
static bool count_tunnel(const struct frontend *outer)
{
    stats_add(outer->stats, STATS_TUNNELS, 1);
    if (!outer->max_connections || stats_get(outer->stats, STATS_TUNNELS) <= outer->max_connections)
        return true;
    stats_ended(outer->stats, REASON_MAX_CONNECTIONS);
    connlog_limit(outer->name, REASON_MAX_CONNECTIONS, NULL);
    return false;
}

static void start_tunnel(struct outer *o, struct thread *thread, const struct section *section)
{
    struct tunnels *tunnels = thread->tunnels;
    struct stream client = {.kind = STREAM_SOCKET};
    char detail[300];
    int pair[2];

    if (!count_tunnel(section->outer)) {
        snprintf(detail, sizeof(detail), "[%s]: max_connections", o->name);
        fail(o, REASON_VIA, detail);
        return;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        const int error = errno;

        stats_ended(section->outer->stats, REASON_FILES);
        fail(o, REASON_FILES, strerror(error));
        return;
    }
    o->fd = pair[0];
    client.fd = pair[1];
    o->tunnel = tunnels_start(tunnels, snapshot_hold(section->snapshot), section->outer, &client,
                              &events, o);
    if (!o->tunnel) {
        stats_ended(section->outer->stats, REASON_MEMORY);
        fail(o, REASON_MEMORY, "");
        return;
    }
    o->held |= HELD_BY_TUNNEL;
    if (tunnels->ops->added)
        tunnels->ops->added(tunnels);
}

struct transport *outer_start(struct thread *thread, const struct section *section,
                              struct transport_owner *owner)
{
    const char *name = section->outer->name;
    struct outer *o = calloc(1, sizeof(*o) + strlen(name) + 1);

    if (!o)
        return NULL;
    memcpy(o->name, name, strlen(name));
    o->transport = (struct transport){.ops = &outer_ops, .owner = owner};
    o->attachment.ops = &attachment_ops;
    o->fd = -1;
    o->held = HELD_BY_USER | HELD_BY_TIMER;
    (void)uv_timer_init(&thread->loop, &o->timer); /* cannot fail */
    o->timer.data = o;
    start_tunnel(o, thread, section);
    return &o->transport;
}
