#include "proxy/tunnels.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/sock.h"

struct tunnels_node {
    struct tunnels *tunnels;
    struct tunnel *tunnel;
    const struct tunnel_events *events; /* of the owner, or NULL */
    void *owner;
    LIST_ENTRY(tunnels_node) link;
};

static void on_opening(struct tunnel *t, void *owner)
{
    const struct tunnels_node *node = owner;

    if (node->events && node->events->opening)
        node->events->opening(t, node->owner);
}

static void on_ended(struct tunnel *t, enum reason reason, const char *detail, void *owner)
{
    const struct tunnels_node *node = owner;

    if (node->events && node->events->ended)
        node->events->ended(t, reason, detail, node->owner);
}

static void on_freed(struct tunnel *t, void *owner)
{
    struct tunnels_node *node = owner;
    struct tunnels *tunnels = node->tunnels;

    LIST_REMOVE(node, link);
    if (node->events && node->events->freed)
        node->events->freed(t, node->owner);
    free(node);
    if (tunnels->ops->freed)
        tunnels->ops->freed(tunnels);
}

static const struct tunnel_events events = {
    .opening = on_opening, .ended = on_ended, .freed = on_freed};

void tunnels_init(struct tunnels *t, struct thread *thread, const struct tunnels_ops *ops)
{
    LIST_INIT(&t->list);
    t->thread = thread;
    t->ops = ops;
    thread->tunnels = t;
}

struct tunnel *tunnels_start(struct tunnels *t, struct snapshot *snapshot,
                             const struct frontend *frontend, const struct stream *client,
                             const struct tunnel_events *of_owner, void *owner)
{
    struct tunnels_node *node = malloc(sizeof(*node));

    if (!node) {
        sock_close_reset(client->fd);
        snapshot_release(snapshot);
        return NULL;
    }
    *node = (struct tunnels_node){.tunnels = t, .events = of_owner, .owner = owner};
    node->tunnel = tunnel_start(t->thread, snapshot, frontend, client, &events, node);
    if (!node->tunnel) {
        free(node);
        return NULL;
    }
    LIST_INSERT_HEAD(&t->list, node, link);
    return node->tunnel;
}

void tunnels_attach(struct tunnels *t, struct tunnel *warm, const struct stream *client)
{
    struct tunnels_node *node = xcalloc(1, sizeof(*node));

    node->tunnels = t;
    node->tunnel = warm;
    LIST_INSERT_HEAD(&t->list, node, link);
    tunnel_attach(warm, client, &events, node);
}

void tunnels_apply(struct tunnels *t, struct snapshot *latest)
{
    struct tunnels_node *node, *next;

    /* what a tunnel starts meanwhile is at the head, and what it ends is freed later */
    for (node = LIST_FIRST(&t->list); node; node = next) {
        next = LIST_NEXT(node, link);
        tunnel_apply(node->tunnel, latest);
    }
}

void tunnels_kill(struct tunnels *t, enum reason reason)
{
    struct tunnels_node *node, *next;

    for (node = LIST_FIRST(&t->list); node; node = next) {
        next = LIST_NEXT(node, link);
        tunnel_kill(node->tunnel, reason);
    }
}

bool tunnels_is_empty(const struct tunnels *t)
{
    return LIST_EMPTY(&t->list);
}
