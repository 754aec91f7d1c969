/* The log lines of a connection: that it opened, why it did not, and how it ended. */
#ifndef PROXY_CONNLOG_H
#define PROXY_CONNLOG_H

#include <stdint.h>

#include "proxy/upstream.h"

/*
 * Writes the event of a reason: pin_mismatch with all that tells a renewal from an attack, refused,
 * upstream_error, truncated or limit. Nothing for an ordinary end. client: its address, or NULL.
 */
void connlog_failed(const struct upstream *u, enum reason reason, const char *detail,
                    const struct addr *client);

/*
 * tunnel_open, and before it what enforce = report has let through; counts both. ms: since accept.
 */
void connlog_opened(const struct upstream *u, const struct addr *client, int64_t ms);

struct connlog_totals {
    uint64_t sent; /* plaintext bytes to the server */
    uint64_t received;
    int64_t ms; /* since the client was accepted */
};

/*
 * Logs tunnel_close. detail: more words about an ordinary end, or ""; other reasons have their own
 * event.
 */
void connlog_closed(const struct upstream *u, enum reason reason, const char *detail,
                    const struct addr *client, const struct connlog_totals *totals);

#endif
