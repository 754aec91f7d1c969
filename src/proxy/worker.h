/*
 * A worker: a thread with a loop and its tunnels. What reaches it from other threads comes through
 * its queue; what leaves it are counters. Nothing else is shared but immutable snapshots.
 */
#ifndef PROXY_WORKER_H
#define PROXY_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "proxy/snapshot.h"
#include "proxy/tunnel.h"

struct worker;

/* What all workers count together. */
struct worker_pool {
    _Atomic uint64_t tunnels; /* from worker_take() to the last handle's close */
    atomic_bool notify;       /* wake is wanted when a tunnel has gone */
    uv_async_t *wake;         /* on the loop of whoever hands out clients and orders */
};

/*
 * Starts the thread. announces: it also asks hosts for the pins that they announce (pinfetch.h).
 * Returns NULL with errno when it cannot be.
 */
struct worker *worker_start(struct worker_pool *pool, bool announces);

/*
 * Hands over a client and a reference to its front end's snapshot, which must not be a later one than
 * that of the last worker_apply(). Counted in the pool at once. False when memory is short: then
 * both are still the caller's.
 */
bool worker_take(struct worker *w, struct snapshot *snapshot, const struct frontend *frontend,
                 const struct stream *client);

/*
 * Orders the worker to apply a configuration to all of its tunnels (tunnel_apply()), of which it
 * takes a reference. Does not wait: worker_applied() tells when it is done, and the pool's wake is
 * sent then. generation: higher than that of every order before.
 */
void worker_apply(struct worker *w, struct snapshot *now, uint64_t generation);

/*
 * Returns the generation of the last order that the worker has applied; 0 before the first. From
 * then on no tunnel of the worker moves plaintext that the ordered configuration does not permit.
 */
uint64_t worker_applied(const struct worker *w);

/* Tunnels it has, to find the least busy one. */
uint64_t worker_load(const struct worker *w);

/* Ends all of its tunnels with resets. */
void worker_kill(struct worker *w);

/*
 * Ends the thread, tunnels and all, and frees the worker. False when a change to the learned pins,
 * which cannot be cancelled, keeps it longer than a second: then it is left as it is, for the
 * process to end.
 */
bool worker_stop(struct worker *w);

#endif
