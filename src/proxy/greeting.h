/*
 * A client's greeting: gives what the client sends to its front, writes the front's answer, and
 * keeps what the client has sent behind the greeting until the tunnel opens.
 */
#ifndef PROXY_GREETING_H
#define PROXY_GREETING_H

#include <stdbool.h>

#include "front/front.h"

struct endpoint;

struct greeting {
    const struct front_ops *front;
    void *state; /* front->size bytes */
    struct endpoint *client;
    uint8_t *early; /* what came behind the greeting; NULL: nothing */
    size_t early_count;
};

/* Initializes a greeting. Borrows the state, front->size zeroed bytes, and the client. */
void greeting_init(struct greeting *g, const struct front_ops *front, void *state,
                   struct endpoint *client);

/*
 * Gives the front n bytes of the client, which is read from then on until the greeting is complete.
 * The first call has n = 0. Returns REASON_NONE if more has to come, REASON_OK if the greeting is
 * complete, or why the client is to be refused. *target is as front_ops.feed() leaves it.
 */
enum reason greeting_feed(struct greeting *g, const uint8_t *bytes, size_t n,
                          struct front_target *target);

/* Writes the front's answer to the client. Returns false if the front has none. */
bool greeting_reply(struct greeting *g, enum reason reason);

/* Frees what came behind the greeting. */
void greeting_free(struct greeting *g);

#endif
