/*
 * The bytes of an open tunnel: plaintext from the client into records, records from the server into
 * plaintext. Each side is read while nothing waits to be written to the other. The relay reports how
 * the stream ended; the tunnel decides how both sides are told.
 */
#ifndef PROXY_RELAY_H
#define PROXY_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"

struct endpoint;
struct upstream;

struct relay {
    struct endpoint *client;
    struct upstream *upstream;
    const uint8_t *client_bytes; /* what this event has brought; NULL: nothing */
    size_t client_count;

    bool client_finished;            /* its FIN has become close_notify */
    bool server_finished;            /* its close_notify has become FIN */
    uint64_t sent;                   /* plaintext bytes to the server */
    uint64_t received;               /* and from it */
    uint64_t received_before_finish; /* when the client had finished */
    uint64_t last_byte;              /* loop time */
};

enum relay_result {
    RELAY_OPEN,     /* more may come */
    RELAY_FINISHED, /* both directions have ended in order, and everything is written */
    RELAY_CUT,      /* the server's stream broke off: the client may still get what is written */
    RELAY_ABORTED,  /* both sides are to be reset */
};

/* Initializes a relay. Borrows both sides, which must outlive it. */
void relay_init(struct relay *r, struct endpoint *client, struct upstream *upstream);

/*
 * Moves everything that can move and updates which side is read. The upstream must be READY. Sets
 * *reason and *detail if the result is RELAY_CUT or RELAY_ABORTED; the detail is valid until the
 * next call that uses the upstream's TLS engine.
 */
enum relay_result relay_step(struct relay *r, enum reason *reason, const char **detail);

/* Returns true if one of the two directions has ended in order. */
bool relay_is_half_closed(const struct relay *r);

#endif
