/* The log lines of a connection: that it opened, why it did not, and how it ended. */
#ifndef PROXY_EVENTS_H
#define PROXY_EVENTS_H

#include <stdint.h>

#include "proxy/upstream.h"

/*
 * Writes the event of a reason: pin_mismatch with all that tells a renewal from an attack, refused,
 * upstream_error, truncated or limit. Nothing for an ordinary end. client: its address, or NULL.
 */
void events_failed(const struct upstream *u, enum reason reason, const char *detail,
                   const struct addr *client);

/* tunnel_open, and before it what enforce = report has let through; counts both. ms: since accept. */
void events_opened(const struct upstream *u, const struct addr *client, int64_t ms);

/* tunnel_close. */
void events_closed(const struct upstream *u, enum reason reason, const struct addr *client,
                   uint64_t sent, uint64_t received, int64_t ms);

#endif
