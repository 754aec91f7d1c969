#include "pinproxyd/admission.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/sock.h"
#include "base/util.h"
#include "pinproxyd/limits.h"
#include "proxy/connlog.h"
#include "proxy/warm.h"
#include "proxy/ways.h"

/* Accepting pauses this long, with jitter, when descriptors ran out and no tunnel ends before. */
#define SHORTAGE_MS 100

static void update_accepting(struct admission *a)
{
    listener_set_pause(a->listeners, a->full || a->shortage);
}

/* Asks for a wakeup at ends of tunnels before it counts them, so that no end is missed. */
static void update_full(struct admission *a)
{
    const bool was_full = a->full;

    pool_set_notify(a->pool, true);
    a->full = pool_tunnels(a->pool) >= a->max_tunnels;
    pool_set_notify(a->pool, a->full || a->shortage || !a->listeners);
    if (a->full != was_full)
        update_accepting(a);
}

static void refuse_client(const struct frontend *frontend, const struct stream *client,
                          enum reason reason)
{
    connlog_limit(frontend->name, reason, NULL);
    stats_refused(frontend->stats, reason);
    sock_close_reset(client->fd);
}

static void on_accepted(const struct frontend *frontend, const struct stream *client, void *owner)
{
    const uint64_t max = frontend->max_connections;
    struct admission *a = owner;

    if (max && stats_get(frontend->stats, STATS_TUNNELS) >= max) {
        refuse_client(frontend, client, REASON_MAX_CONNECTIONS);
        return;
    }
    if (!pool_take(a->pool, snapshot_hold(a->snapshot), frontend, client)) {
        snapshot_release(a->snapshot);
        refuse_client(frontend, client, REASON_MEMORY);
        return;
    }
    heap_trim_note(a->trim, pool_memory(a->pool));
    if (pool_tunnels(a->pool) >= a->max_tunnels) {
        connlog_limit(NULL, REASON_MAX_CONNECTIONS, "further clients wait in the backlog");
        update_full(a);
    }
}

static void on_resume(uv_timer_t *timer)
{
    struct admission *a = container_of(timer, struct admission, resume);

    a->shortage = false;
    update_full(a);
    update_accepting(a);
}

static void on_shortage(int error, void *owner)
{
    struct admission *a = owner;

    connlog_limit(NULL, error == ENOMEM || error == ENOBUFS ? REASON_MEMORY : REASON_FILES,
                  strerror(error));
    a->shortage = true;
    pool_set_notify(a->pool, true);
    update_accepting(a);
    uv_timer_start(&a->resume, on_resume, SHORTAGE_MS + (uint64_t)random() % SHORTAGE_MS, 0);
}

static const struct listener_events listener_events = {on_accepted, on_shortage};

void admission_init(struct admission *a, uv_loop_t *loop, struct pool *pool, struct heap_trim *trim)
{
    memset(a, 0, sizeof(*a));
    a->pool = pool;
    a->trim = trim;
    (void)uv_timer_init(loop, &a->resume); /* cannot fail */
}

/* Returns how many files a tunnel has at most: one for the client, and those of its way. */
static size_t count_files(const struct config *config)
{
    size_t most = 1, i;

    for (i = 0; i < config->count; i++)
        if (ways_files(config->sections[i]) > most)
            most = ways_files(config->sections[i]);
    return 1 + most;
}

/* Returns how many files the warm connections have. */
static size_t count_warm_files(const struct snapshot *s)
{
    size_t n = 0, i;

    for (i = 0; i < s->frontend_count; i++)
        if (warm_wanted(&s->frontends[i]))
            n += warm_wanted(&s->frontends[i]) * ways_files(s->frontends[i].section->config);
    return n;
}

void admission_serve(struct admission *a, struct snapshot *snapshot, struct listener_set *listeners)
{
    a->snapshot = snapshot;
    a->listeners = listeners;
    listener_set_commit(listeners, a->resume.loop, &listener_events, a);
    a->max_tunnels = limits_tunnels((uint64_t)snapshot->config->global.max_connections,
                                    a->pool->count, listener_set_count(listeners),
                                    count_files(snapshot->config), count_warm_files(snapshot));
    update_full(a);
    update_accepting(a);
}

void admission_stop(struct admission *a)
{
    a->listeners = NULL;
    update_full(a);
}

void admission_update(struct admission *a)
{
    if (a->shortage)
        on_resume(&a->resume);
    else
        update_full(a);
}
