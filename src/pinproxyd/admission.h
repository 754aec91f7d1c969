/*
 * Admission of clients: hands them to the workers, refuses those beyond a limit of their front end,
 * and leaves those beyond the daemon's limits in the backlogs of the listeners. Belongs to the main
 * loop.
 */
#ifndef PINPROXYD_ADMISSION_H
#define PINPROXYD_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/heap.h"
#include "pinproxyd/listener.h"
#include "proxy/pool.h"

struct admission {
    struct pool *pool;
    struct heap_trim *trim;
    struct snapshot *snapshot;      /* in service */
    struct listener_set *listeners; /* in service; NULL before the start and after a stop */
    uint64_t max_tunnels;
    bool full;     /* there are max_tunnels */
    bool shortage; /* accept(2) found no descriptors, or no memory */
    uv_timer_t resume;
};

/* Initializes *a, with a timer on the loop. Borrows pool and trim, which must outlive it. */
void admission_init(struct admission *a, uv_loop_t *loop, struct pool *pool,
                    struct heap_trim *trim);

/*
 * Puts a snapshot and its prepared listeners in service, in place of those before, and accepts
 * clients from then on as far as limits allow. Borrows both until the next call. Every worker must
 * have the order to apply the snapshot already. Cannot fail.
 */
void admission_serve(struct admission *a, struct snapshot *snapshot,
                     struct listener_set *listeners);

/*
 * Accepts no more. The pool wakes the main loop whenever a tunnel has ended, from now on. The
 * caller still owns the listeners.
 */
void admission_stop(struct admission *a);

/* Checks the limits again. The main loop calls it whenever the pool wakes it. */
void admission_update(struct admission *a);

#endif
