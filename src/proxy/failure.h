/* The one log line that tells why a connection did not come about, or why it ended. */
#ifndef PROXY_FAILURE_H
#define PROXY_FAILURE_H

#include "proxy/upstream.h"

/*
 * Writes the event of a reason: pin_mismatch with all that tells a renewal from an attack, refused,
 * upstream_error, truncated or limit. Nothing for an ordinary end. client: its address, or NULL.
 */
void failure_log(const struct upstream *u, enum reason reason, const char *detail,
                 const char *client);

/* Writes what enforce = report has let through: the same event, with enforce=report. */
void failure_log_reported(const struct upstream *u, const char *client);

#endif
