/*
 * An upstream that is READY and has no client yet. It is read, so that the end of its stream is
 * noticed at once, be it close_notify, a FIN, a reset or an alert. The server's first words, if it
 * speaks first, are stored behind its greeting of before TLS, and the client gets both.
 */
#ifndef PROXY_EARLY_H
#define PROXY_EARLY_H

#include <stdbool.h>

#include "base/reason.h"

struct upstream;

/*
 * Reads what has come. Returns REASON_OK if a client can still use the connection, or why not.
 * REASON_UPSTREAM_CLOSED is an ordinary end. *detail is as tls_failure() has it, or "".
 */
enum reason early_read(struct upstream *u, const char **detail);

/*
 * Returns true if a client can use the connection. Asks the kernel, so an end that has reached this
 * host is never missed. Returns false also if bytes have come that were not read yet, unless no end
 * can be among them.
 */
bool early_is_usable(const struct upstream *u);

#endif
