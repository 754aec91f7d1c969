/*
 * Listeners: the sockets that clients connect to. They belong to the main loop. A listener stays
 * open over reloads while the configuration names it, and gets its front end from each new
 * snapshot.
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
    /* Called for each client of this front end. The callee takes ownership of the client. */
    void (*accepted)(const struct frontend *frontend, const struct stream *client, void *owner);
    /* Called when accept(2) has failed since descriptors or memory are short. error: its errno. */
    void (*shortage)(int error, void *owner);
};

/*
 * Prepares the listeners of a snapshot: shares those of the set in service, old (NULL: none), that
 * stay, and binds the others. They accept nothing yet, and the old set continues. Returns NULL
 * after adding to diags which of them cannot be bound; then nothing has changed. The snapshot must
 * outlive the set. listener_set_retire() frees the set.
 */
struct listener_set *listener_set_prepare(const struct snapshot *snapshot, struct listener_set *old,
                                          struct diag_list *diags);

/*
 * Puts a prepared set in service: its listeners have the front ends of its snapshot from now on,
 * and call events with owner. New listeners begin paused. Cannot fail. The caller then retires the
 * old set.
 */
void listener_set_commit(struct listener_set *set, uv_loop_t *loop,
                         const struct listener_events *events, void *owner);

/* Pauses or resumes accepting. Clients wait in the backlog meanwhile. set may be NULL. */
void listener_set_pause(struct listener_set *set, bool pause);

/* Returns how many listeners the snapshot names. set may be NULL. */
size_t listener_set_count(const struct listener_set *set);

/*
 * Frees a set: the old one after a commit, or a prepared one if a reload fails. Closes the
 * listeners that the set in service (NULL: none) does not have. A client that waits at one of them
 * is accepted if the set in service listens on the address that the client has connected to. set
 * may be NULL.
 */
void listener_set_retire(struct listener_set *set, struct listener_set *in_service);

#endif
