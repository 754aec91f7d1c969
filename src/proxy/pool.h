/* All workers together: clients go to the least busy one, orders to each. */
#ifndef PROXY_POOL_H
#define PROXY_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/worker.h"

struct pool {
    struct worker_pool shared; /* what they count together */
    struct worker **workers;
    size_t count;
    uint64_t generation; /* of the last pool_apply() */
};

/* Starts that many workers. False, with errno, if not all could be. */
bool pool_start(struct pool *p, size_t count, uv_async_t *wake);

/* As worker_take(), with the least busy worker. */
bool pool_take(struct pool *p, struct snapshot *snapshot, const struct frontend *frontend,
               const struct stream *client);

/* Sets whether the workers wake the main loop (pool_start()) whenever a tunnel has ended. */
void pool_set_notify(struct pool *p, bool notify);

/* Tunnels in all. */
uint64_t pool_tunnels(const struct pool *p);

/* About how many bytes of memory they take. */
uint64_t pool_memory(const struct pool *p);

/*
 * Orders every worker to apply a configuration, and does not wait. Returns the order's generation:
 * the order is carried out once pool_has_applied() says so of it.
 */
uint64_t pool_apply(struct pool *p, struct snapshot *now);

/* Checks that every worker has applied the order of this generation, or a later one. */
bool pool_has_applied(const struct pool *p, uint64_t generation);

/* Ends all tunnels with resets. */
void pool_kill(struct pool *p);

/* Ends all threads. False when one is held up: see worker_stop(). */
bool pool_stop(struct pool *p);

void pool_free(struct pool *p);

#endif
