/*
 * The warm connections of one worker: dialled and verified ahead (`warm`), so that a client waits
 * for no handshake. Each is a tunnel that has no client yet.
 *
 * A section has `warm` connections for each of its listeners; the workers divide them among
 * themselves. None gets older than `warm_lifetime`, and the server is judged again, whole, when a
 * client comes. One that ends is replaced; after a failure, or an end soon after the handshake, the
 * pool waits before it dials again, up to half a minute.
 *
 * stats.h: `warm` counts for each worker those that are ready and that no client was promised. The
 * main loop promises one to a client and hands the client to that worker (warm_promise()). If the
 * connection is lost meanwhile, the client gets a connection of its own.
 */
#ifndef PROXY_WARM_H
#define PROXY_WARM_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/snapshot.h"
#include "proxy/thread.h"

struct tunnel;
struct warm;

/* Returns how many warm connections a front end has, all workers together. */
size_t warm_wanted(const struct frontend *frontend);

/* Prepares the counters of a snapshot's sections for all workers. The main loop calls it. */
void warm_prepare(struct snapshot *s, size_t workers);

/* Promises one connection of a worker to a client. Returns false if all are promised. */
bool warm_promise(struct stats *stats, size_t worker);

/* Withdraws a promise. */
void warm_withdraw(struct stats *stats, size_t worker);

/*
 * Returns the connections of one worker, none so far: number `worker` of all `workers`. They are on
 * the loop of the thread. warm_free() frees them.
 */
struct warm *warm_new(struct thread *thread, size_t worker, size_t workers);

/*
 * Applies a snapshot, of which it takes a reference. Sections that have changed get other
 * connections. The servers of the others are judged again.
 */
void warm_apply(struct warm *w, struct snapshot *snapshot);

/*
 * Takes a connection for a client of a front end of a snapshot. promised says whether
 * warm_promise() has returned true for this client; the promise is kept or withdrawn. Returns a
 * tunnel for tunnel_attach(), which the caller must call at once, or NULL if none can be used.
 */
struct tunnel *warm_take(struct warm *w, const struct snapshot *s, const struct frontend *frontend,
                         bool promised);

/* Ends every connection in order, and makes no more. Idempotent. */
void warm_stop(struct warm *w);

/* Frees it, after warm_stop() and after the loop has closed every handle. */
void warm_free(struct warm *w);

#endif
