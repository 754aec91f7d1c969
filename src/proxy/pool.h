/* The pool of all workers. A client goes to the least busy worker, an order goes to all of them. */
#ifndef PROXY_POOL_H
#define PROXY_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/worker.h"

struct pool {
    struct worker_shared shared; /* the counters and the wakeup that they share */
    struct worker **workers;
    size_t count;
    uint64_t generation; /* of the last pool_apply() */
};

/*
 * Starts count workers. wake, a handle of the main loop, is borrowed and must outlive them. Returns
 * false with errno if not all could be started; those that were are in the pool.
 */
bool pool_start(struct pool *p, size_t count, uv_async_t *wake);

/*
 * Gives a client to the least busy worker, of those that have a warm connection for it if there are
 * any. Parameters and result are those of worker_take().
 */
bool pool_take(struct pool *p, struct snapshot *snapshot, const struct frontend *frontend,
               const struct stream *client);

/* Sets whether the workers wake the main loop (pool_start()) whenever a tunnel has ended. */
void pool_set_notify(struct pool *p, bool notify);

/* Returns how many tunnels all workers have together. */
uint64_t pool_tunnels(const struct pool *p);

/* Returns about how many bytes of memory the tunnels use. */
uint64_t pool_memory(const struct pool *p);

/*
 * Orders every worker to apply a configuration, of which each takes a reference. Does not wait.
 * Returns the order's generation, for pool_has_applied().
 */
uint64_t pool_apply(struct pool *p, struct snapshot *now);

/* Returns true if every worker has applied the order of this generation or a later one. */
bool pool_has_applied(const struct pool *p, uint64_t generation);

/* Orders every worker to end its warm connections, and to make no more. Does not wait. */
void pool_drain(struct pool *p);

/* Orders every worker to end its tunnels with resets. Does not wait. */
void pool_kill(struct pool *p);

/* Stops every worker. Returns false if one could not be stopped: see worker_stop(). */
bool pool_stop(struct pool *p);

/* Frees what pool_start() has allocated, after pool_stop(). */
void pool_free(struct pool *p);

#endif
