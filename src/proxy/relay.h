/*
 * Moves the bytes of an open tunnel: plaintext from the client becomes records, records from the
 * server become plaintext. Each side is read while nothing waits to be written to the other. The
 * relay reports how the stream ended, and the tunnel closes both sides accordingly.
 */
#ifndef PROXY_RELAY_H
#define PROXY_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"
#include "tls/clienthello.h"

struct deadline_facts;
struct endpoint;
struct filter;
struct upstream;

struct relay {
    struct endpoint *client;
    struct upstream *upstream;
    const uint8_t *client_bytes; /* that this event has brought; NULL: none */
    size_t client_count;
    struct filter *filter;          /* rewrites the first bytes that pass; NULL: no more */
    uint8_t held[CLIENTHELLO_SIZE]; /* the client's first bytes, while they may be a ClientHello */
    size_t held_count;

    bool first_bytes_checked; /* the client's first bytes are no ClientHello */
    bool answered;            /* the server has sent something since the client did */
    bool close_notify_sent;   /* to the server, after the client's FIN */
    bool fin_sent;            /* to the client, after the server's close_notify */
    bool was_half_closed;     /* when relay_step() was called last */
    bool stuck;               /* the server has reset, and not all that it sent before is read */
    size_t backlog;           /* if stuck: bytes that the client had not taken at the last check */
    uint64_t sent;            /* plaintext bytes to the server */
    uint64_t received;        /* plaintext bytes from the server */
    uint64_t received_before_eof; /* received, when the client's FIN came */
    uint64_t last_activity;       /* loop time */
};

enum relay_result {
    RELAY_OPEN,     /* more may come */
    RELAY_FINISHED, /* both directions have ended in order, and everything is written */
    RELAY_CUT,      /* the server's stream broke off: the client may still get what is written */
    RELAY_ABORTED,  /* both sides are to be reset */
};

struct relay_end {
    enum relay_result result;
    enum reason reason; /* why, unless RELAY_OPEN */
    const char *detail; /* more words, or "": valid until the TLS connection is used again */
};

/* Initializes a relay. Borrows both sides, which must outlive it. */
void relay_init(struct relay *r, struct endpoint *client, struct upstream *upstream);

/* Frees what a relay holds. */
void relay_free(struct relay *r);

/*
 * Sends bytes to the server that are not the client's, before all others: a header of the PROXY
 * protocol. They are not counted. Called before relay_start(), if at all.
 */
struct relay_end relay_send_header(struct relay *r, const uint8_t *bytes, size_t n);

/*
 * Begins with the bytes that the server's greeting of before TLS has left for the client, and with
 * the upstream's filter; with neither of them if the client is another section (outer.h). Called
 * once, before relay_step().
 */
struct relay_end relay_start(struct relay *r, bool is_outer);

/* Moves everything that can move and updates which side is read. The upstream must be READY. */
struct relay_end relay_step(struct relay *r);

/* Returns true if a relay waits for something that has a limit, besides bytes of the two sides. */
bool relay_is_waiting(const struct relay *r);

/* Fills in what a relay knows of its tunnel's deadlines; not the durations that are options. */
void relay_facts(const struct relay *r, struct deadline_facts *f);

/*
 * Ends a wait: for the client's next bytes if the first may be a ClientHello, or for a client that
 * does not read although the server has reset. Then does as relay_step() does.
 */
struct relay_end relay_hurry(struct relay *r);

#endif
