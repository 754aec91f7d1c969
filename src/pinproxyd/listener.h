/*
 * Listeners: the sockets that clients come in by. They belong to the main loop, outlive reloads for
 * as long as the configuration names them, and get their front end from each new snapshot.
 */
#ifndef PINPROXYD_LISTENER_H
#define PINPROXYD_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "config/diag.h"
#include "proxy/snapshot.h"
#include "proxy/tunnel.h"

/* A set of listeners. One set is in service at a time; the next is prepared beside it. */
struct listener_set;

struct listener_events {
    /* A client has come in by a listener of this front end. The callee takes ownership of it. */
    void (*accepted)(const struct frontend *frontend, const struct stream *client, void *owner);
    /* accept(2) failed for want of descriptors or memory. */
    void (*shortage)(int error, void *owner);
};

/*
 * Makes the listeners of a snapshot: takes over those of the set in service (NULL: none) that stay,
 * binds the others. Nothing is accepted yet, and the old set serves on. NULL after adding to
 * problems what cannot be bound; then nothing has changed. The snapshot must live as long as the
 * set.
 */
struct listener_set *listener_set_prepare(const struct snapshot *snapshot, struct listener_set *old,
                                          struct diag_list *diags);

/*
 * Puts a prepared set in service: its listeners have the front ends of its snapshot from now on.
 * Cannot fail. New listeners begin paused. The old set is then the caller's to retire.
 */
void listener_set_commit(struct listener_set *set, uv_loop_t *loop,
                         const struct listener_events *events, void *owner);

/* Accepting or not; clients wait in the backlog meanwhile. */
void listener_set_pause(struct listener_set *set, bool pause);

/* Returns how many listeners the snapshot names. set may be NULL. */
size_t listener_set_count(const struct listener_set *set);

/*
 * Frees a set (NULL: nothing) in favour of the one that is in service (NULL: none): after a commit
 * the old set, and the new one when a reload comes to nothing. Closes the listeners that only the
 * freed set has. A client that waits there is accepted if the set in service listens on the address
 * that the client has connected to.
 */
void listener_set_retire(struct listener_set *set, struct listener_set *in_service);

#endif
