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
};

/* Starts that many threads, in which no signal arrives. False, with errno, if not all could be. */
bool pool_start(struct pool *p, size_t count, uv_async_t *wake);

/* As worker_take(), with the least busy worker. */
bool pool_take(struct pool *p, struct snapshot *snapshot, const struct section *section,
               const struct tunnel_client *client);

/* Tunnels in all. */
uint64_t pool_tunnels(const struct pool *p);

/* About how many bytes of memory they take. */
uint64_t pool_memory(const struct pool *p);

/* As worker_reload() and worker_kill(), of each. */
void pool_reload(struct pool *p, struct snapshot *now);
void pool_kill(struct pool *p);

/* Ends all threads. False when one is held up: see worker_stop(). */
bool pool_stop(struct pool *p);

void pool_free(struct pool *p);

#endif
