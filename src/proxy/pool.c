#include "proxy/pool.h"

#include <stdlib.h>

#include "base/mem.h"
#include "net/endpoint.h"
#include "proxy/warm.h"

/* The memory of an idle tunnel, without what its endpoints hold (bench/RESULTS.md). */
#define TUNNEL_SIZE ((uint64_t)16 * 1024)

bool pool_start(struct pool *p, size_t count, uv_async_t *wake)
{
    p->shared.wake = wake;
    p->workers = xcalloc(count, sizeof(struct worker *));
    while (p->count < count) {
        p->workers[p->count] = worker_start(&p->shared, p->count, count);
        if (!p->workers[p->count])
            break;
        p->count++;
    }
    return p->count == count;
}

/*
 * Returns the least busy of all workers, or of those whose entry in warm is above 0; p->count: there
 * is none.
 */
static size_t least_busy(const struct pool *p, _Atomic int *warm)
{
    size_t best = p->count, i;

    for (i = 0; i < p->count; i++)
        if ((!warm || atomic_load(&warm[i]) > 0)
            && (best == p->count || worker_load(p->workers[i]) < worker_load(p->workers[best])))
            best = i;
    return best;
}

bool pool_take(struct pool *p, struct snapshot *snapshot, const struct frontend *frontend,
               const struct stream *client)
{
    struct stats *stats = frontend->stats;
    size_t best = stats->warm ? least_busy(p, stats->warm) : p->count;
    const bool promised = best < p->count && warm_promise(stats, best);

    if (!promised)
        best = least_busy(p, NULL);
    if (worker_take(p->workers[best], snapshot, frontend, client, promised))
        return true;
    if (promised)
        warm_withdraw(stats, best);
    return false;
}

void pool_set_notify(struct pool *p, bool notify)
{
    atomic_store(&p->shared.notify, notify);
}

uint64_t pool_tunnels(const struct pool *p)
{
    return atomic_load(&p->shared.tunnels);
}

uint64_t pool_memory(const struct pool *p)
{
    return pool_tunnels(p) * TUNNEL_SIZE + endpoints_hold();
}

uint64_t pool_apply(struct pool *p, struct snapshot *now)
{
    size_t i;

    warm_prepare(now, p->count);
    p->generation++;
    for (i = 0; i < p->count; i++)
        worker_apply(p->workers[i], now, p->generation);
    return p->generation;
}

bool pool_has_applied(const struct pool *p, uint64_t generation)
{
    size_t i;

    for (i = 0; i < p->count; i++)
        if (worker_applied(p->workers[i]) < generation)
            return false;
    return true;
}

void pool_drain(struct pool *p)
{
    size_t i;

    for (i = 0; i < p->count; i++)
        worker_drain(p->workers[i]);
}

void pool_kill(struct pool *p)
{
    size_t i;

    for (i = 0; i < p->count; i++)
        worker_kill(p->workers[i]);
}

bool pool_stop(struct pool *p)
{
    bool clean = true;
    size_t i;

    for (i = 0; i < p->count; i++)
        clean = worker_stop(p->workers[i]) && clean;
    p->count = 0;
    return clean;
}

void pool_free(struct pool *p)
{
    free(p->workers);
    p->workers = NULL;
}
