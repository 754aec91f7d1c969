/*
 * Resumption, one connection's part of it: which session it offers to the server, and which of the
 * server's tickets it keeps for later connections (session.h). Whether a resumed server may be
 * talked to is not decided here: it is judged like any other (tls.c, conclude()).
 */
#ifndef TLS_RESUMPTION_H
#define TLS_RESUMPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tls/session.h"
#include "trust/policy.h"
#include "trust/trust.h"

/* Tickets that one turn may bring; servers send two. */
#define RESUMPTION_TICKETS_MAX 4

struct ssl_st; /* OpenSSL's SSL */

struct resumption {
    struct session_cache *sessions; /* NULL: nothing is resumed, nothing is kept */
    const struct policy *policy;
    struct session offered; /* ours, should the server resume it; else offered.tls is NULL */
    struct ssl_session_st
        *tickets[RESUMPTION_TICKETS_MAX]; /* that have come, and are not kept yet */
    size_t ticket_count;
    int64_t established; /* the full handshake that this connection goes back to */
};

/* Before the first flight: offers a session whose server would be trusted now, if there is one. */
void resumption_offer(struct resumption *r, struct ssl_st *ssl, int64_t now);

/* A ticket has come; true: it was taken over. It waits for resumption_store(). */
bool resumption_take(struct resumption *r, struct ssl_session_st *ticket);

/*
 * Puts what has come into the cache, of a connection that is open. What was let through without a
 * match is not kept: it must not be let through again without a look.
 */
void resumption_store(struct resumption *r, struct ssl_st *ssl,
                      const struct trust_verdict *verdict);

/*
 * The connection has just opened. As resumption_store(), and the offered session is noted if it was
 * used.
 */
void resumption_opened(struct resumption *r, struct ssl_st *ssl,
                       const struct trust_verdict *verdict);

/* Keeps no session of this connection, neither those that have come nor those to come. */
void resumption_give_up(struct resumption *r);

void resumption_clear(struct resumption *r);

#endif
