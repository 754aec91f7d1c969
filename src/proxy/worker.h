/*
 * A worker: a thread with a loop and its tunnels. Other threads reach it through its queue of
 * clients and orders only, and it reports to them through counters. Besides these, threads share
 * immutable snapshots.
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

/* The counters and the wakeup that all workers share. */
struct worker_shared {
    _Atomic uint64_t tunnels; /* from worker_take() until the last handle of a tunnel has closed */
    atomic_bool notify;       /* send wake whenever a tunnel has ended */
    uv_async_t *wake;         /* on the main loop, which hands out clients and orders */
};

/*
 * Starts the thread of worker number `number` of `count`. Borrows shared, which must outlive it.
 * The first worker also asks hosts for the pins that they announce (pinfetch.h). Returns NULL with
 * errno on failure. worker_stop() frees the worker.
 */
struct worker *worker_start(struct worker_shared *shared, size_t number, size_t count);

/*
 * Queues a client for the worker, and counts it at once: in the shared counters and in the stats of
 * the front end. Takes ownership of the client and of a reference to the snapshot, which has the
 * front end and must not be later than that of the last worker_apply(). promised says whether
 * warm_promise() has promised the client a connection of this worker. Returns false if memory is
 * short; then the caller still owns both.
 */
bool worker_take(struct worker *w, struct snapshot *snapshot, const struct frontend *frontend,
                 const struct stream *client, bool promised);

/*
 * Orders the worker to apply a configuration to all of its tunnels (tunnel_apply()), and takes a
 * reference to it. Does not wait: the shared wake is sent when worker_applied() returns this
 * generation, which must be higher than that of every order before.
 */
void worker_apply(struct worker *w, struct snapshot *latest, uint64_t generation);

/*
 * Returns the generation of the last order that the worker has applied; 0 before the first. From
 * then on no tunnel of the worker moves plaintext that the ordered configuration does not permit.
 */
uint64_t worker_applied(const struct worker *w);

/* Returns how many tunnels the worker has. */
uint64_t worker_load(const struct worker *w);

/* Orders the worker to end its warm connections, and to make no more. Does not wait. */
void worker_drain(struct worker *w);

/* Orders the worker to end all of its tunnels with resets. Does not wait. */
void worker_kill(struct worker *w);

/*
 * Ends all tunnels and the thread, waits for it, and frees the worker. Returns false if the thread
 * has not ended after a second, since a change to the learned pins cannot be cancelled. Then
 * nothing is freed, and the process should exit.
 */
bool worker_stop(struct worker *w);

#endif
