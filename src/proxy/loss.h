/* Words for the end of a connection to a server that did not end in order. */
#ifndef PROXY_LOSS_H
#define PROXY_LOSS_H

#include "base/reason.h"

struct endpoint;

/* Returns how the connection broke, or "" if it did not. A literal. */
const char *loss_describe(const struct endpoint *conn);

/*
 * Returns in words how the server broke the connection, or how the program behind it has ended, or
 * "" if neither is known. Valid until it is closed.
 */
const char *loss_cause(const struct endpoint *conn);

/*
 * Returns the detail of a failure, and how the program behind the connection has ended by itself, if
 * there is one and the reason is no verdict about the server. The caller frees the text. Returns
 * NULL if there is nothing to say.
 */
char *loss_explain(const struct endpoint *conn, enum reason reason, const char *detail);

#endif
