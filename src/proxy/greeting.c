#include "proxy/greeting.h"

#include <stdlib.h>
#include <string.h>

#include "net/endpoint.h"

void greeting_init(struct greeting *g, const struct front_ops *front, void *state,
                   struct endpoint *client)
{
    memset(g, 0, sizeof(*g));
    g->front = front;
    g->state = state;
    g->client = client;
}

/* Copies what came behind the greeting: the event that brought the bytes ends before RELAY. */
static bool store_early(struct greeting *g, const uint8_t *bytes, size_t n)
{
    if (n == 0)
        return true;
    g->early = malloc(n);
    if (!g->early)
        return false;
    memcpy(g->early, bytes, n);
    g->early_count = n;
    return true;
}

enum reason greeting_feed(struct greeting *g, const uint8_t *bytes, size_t n,
                          struct front_target *target)
{
    size_t used = 0;
    const enum front_result result = g->front->feed(g->state, bytes, n, &used, target);

    endpoint_want_read(g->client, result == FRONT_MORE);
    switch (result) {
    case FRONT_MORE:
        return REASON_NONE;
    case FRONT_READY:
        return store_early(g, bytes + used, n - used) ? REASON_OK : REASON_MEMORY;
    case FRONT_BAD:
        break;
    }
    return REASON_GREETING;
}

bool greeting_reply(struct greeting *g, enum reason reason)
{
    uint8_t reply[FRONT_REPLY_MAX];
    const size_t n = g->front->reply(g->state, reason, reply, sizeof(reply));

    endpoint_write(g->client, reply, n);
    return n > 0;
}

void greeting_free(struct greeting *g)
{
    free(g->early);
    g->early = NULL;
    g->early_count = 0;
}
