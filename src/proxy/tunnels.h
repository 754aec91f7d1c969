/*
 * The tunnels of a thread: those of its clients, and those that other tunnels run inside
 * (outer.h). All of them are reloaded and ended together.
 */
#ifndef PROXY_TUNNELS_H
#define PROXY_TUNNELS_H

#include <sys/queue.h>

#include "proxy/tunnel.h"

struct tunnels;
struct tunnels_node;

/* The calls of the owner. Each may be NULL. */
struct tunnels_ops {
    /* A tunnel has started that other tunnels of this thread run inside. */
    void (*added)(struct tunnels *t);
    /* Every handle of a tunnel is closed. It is not in the list any more. */
    void (*freed)(struct tunnels *t);
};

struct tunnels {
    struct thread *thread;
    const struct tunnels_ops *ops;
    LIST_HEAD(, tunnels_node) list;
};

/* Initializes an empty list, and makes it the thread's. Borrows the thread. */
void tunnels_init(struct tunnels *t, struct thread *thread, const struct tunnels_ops *ops);

/*
 * Starts a tunnel, as tunnel_start() does, and adds it to the list. events may be NULL. Returns NULL
 * if memory is short; then the client is closed.
 */
struct tunnel *tunnels_start(struct tunnels *t, struct snapshot *snapshot,
                             const struct frontend *frontend, const struct stream *client,
                             const struct tunnel_events *events, void *owner);

/*
 * Adds a warm tunnel that warm_take() has returned, and gives it its client, as tunnel_attach()
 * does.
 */
void tunnels_attach(struct tunnels *t, struct tunnel *warm, const struct stream *client);

/* Applies a configuration to all of them: tunnel_apply(). */
void tunnels_apply(struct tunnels *t, struct snapshot *latest);

/* Ends all of them: tunnel_kill(). */
void tunnels_kill(struct tunnels *t, enum reason reason);

/* Returns true if there is none. */
bool tunnels_is_empty(const struct tunnels *t);

#endif
