/*
 * The log lines of a connection: its limits, that it opened, why it was refused, how it ended, and
 * what was learned from it. Event and field names are those of pinproxyd(8).
 */
#ifndef PROXY_CONNLOG_H
#define PROXY_CONNLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "learned/learnedkey.h"
#include "proxy/snapshot.h"
#include "tls/tls.h"

/* A connection, as its log lines show it. Borrows everything, for one call. */
struct connlog {
    const char *name;              /* of the section, or of the front while no section is known */
    const struct addr *client;     /* NULL: it has none */
    const struct section *section; /* where it goes to; NULL: not known yet */
    const struct addr *peer;       /* the server's address; NULL or of length 0: not connected */
    const struct tls *tls;         /* NULL: there was no handshake */
};

/*
 * Logs the event of a reason: pin_mismatch with all that distinguishes a renewal from an attack,
 * refused, upstream_error, truncated or limit. Logs nothing for an ordinary end. detail is more
 * words about the reason; if it is NULL or "", the reason's own text is shown.
 */
void connlog_failed(const struct connlog *c, enum reason reason, const char *detail);

/*
 * Logs tunnel_open, and before it the mismatch that enforce = report has accepted. The connection
 * must have passed its handshake. ms is the time since accept(2).
 */
void connlog_opened(const struct connlog *c, int64_t ms);

struct connlog_totals {
    uint64_t sent;     /* plaintext bytes to the server */
    uint64_t received; /* plaintext bytes from the server */
    int64_t ms;        /* since the client was accepted */
};

/*
 * Logs the end of a tunnel: connlog_failed(), and tunnel_close if it had opened or the end is an
 * ordinary one. So a tunnel that never opened leaves one event. detail is as in connlog_failed().
 */
void connlog_ended(const struct connlog *c, bool opened, enum reason reason, const char *detail,
                   const struct connlog_totals *totals);

/*
 * Logs limit: a client gets no tunnel, or fewer tunnels are possible than are configured. The
 * reason `what` has the kind REASON_KIND_LIMIT. name is the section's, or NULL if the limit is the
 * daemon's. detail is as in connlog_failed().
 */
void connlog_limit(const char *name, enum reason what, const char *detail);

/*
 * Logs learned: a key of the section is stored, and accepted from now on. hostport is the place
 * that has the key, or NULL. until is the time from which the key is not accepted any more, in
 * seconds since the epoch, or 0.
 */
void connlog_learned(const char *name, const uint8_t digest[CERT_DIGEST_SIZE],
                     enum learned_origin origin, const char *hostport, int64_t until);

#endif
