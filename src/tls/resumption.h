/*
 * Session resumption for one connection: which session it offers to the server, and which of the
 * server's tickets it stores for later connections (session.h). It does not decide about trust: a
 * server that resumes a session is judged like any other (tls.c: conclude()).
 */
#ifndef TLS_RESUMPTION_H
#define TLS_RESUMPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tls/sessioncache.h"
#include "trust/policy.h"
#include "trust/trust.h"

/* The maximum number of tickets in one turn. Servers send two. */
#define RESUMPTION_TICKETS_MAX 4

struct ssl_st; /* OpenSSL's SSL */

struct resumption {
    struct sessioncache *sessions; /* NULL: nothing is resumed or stored */
    const struct policy *policy;
    struct sessioncache_item offered; /* the session that was offered, or none */
    struct ssl_session_st *tickets[RESUMPTION_TICKETS_MAX]; /* received, not stored yet */
    size_t ticket_count;
    int64_t established; /* when the full handshake was */
};

/*
 * Offers a session whose server would be trusted now, if there is one. To be called before the
 * first flight. now is in seconds since the epoch.
 */
void resumption_offer(struct resumption *r, struct ssl_st *ssl, int64_t now);

/*
 * Takes ownership of a ticket that has come, until resumption_store(). Returns false if it does not
 * take it.
 */
bool resumption_take(struct resumption *r, struct ssl_session_st *ticket);

/*
 * Stores the received tickets in the cache. The connection must be open. The tickets of a
 * connection that was accepted in report mode only are dropped: each such connection makes a full
 * handshake.
 */
void resumption_store(struct resumption *r, struct ssl_st *ssl,
                      const struct trust_verdict *verdict);

/*
 * Does the same when the connection has just opened, and notes whether the offered session was
 * used.
 */
void resumption_opened(struct resumption *r, struct ssl_st *ssl,
                       const struct trust_verdict *verdict);

/* Drops all tickets of this connection, received and to come. */
void resumption_give_up(struct resumption *r);

/* Frees what it refers to. */
void resumption_clear(struct resumption *r);

#endif
