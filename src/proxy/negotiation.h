/*
 * The negotiation before TLS: runs the dialogs of a section on its connection. If a parent proxy
 * does not reach the server that it is asked for, and the section has a further `address`, it is
 * asked for that one, over a new connection.
 */
#ifndef PROXY_NEGOTIATION_H
#define PROXY_NEGOTIATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"
#include "base/strbuf.h"
#include "dialog/dialog.h"

struct endpoint;
struct section;

#define NEGOTIATION_DETAIL_SIZE 1024

/* Zeroed at first. */
struct negotiation {
    struct dialog *dialog;  /* NULL: none has begun, or all are done */
    size_t attempt;         /* which of the section's servers a parent proxy is asked for */
    struct strbuf refusals; /* of the servers before it, in the parent's words */
    struct strbuf greeting; /* for the client, when all are done: see dialog/dialog.h */
};

enum negotiation_result {
    NEGOTIATION_MORE,   /* waits for the server */
    NEGOTIATION_DONE,   /* TLS can start */
    NEGOTIATION_AGAIN,  /* refused: to be begun again on a new connection, for the next server */
    NEGOTIATION_FAILED, /* negotiation_failure() says why */
};

/*
 * Begins the dialogs of a section on a new connection. negotiation_feed() must follow. Returns false
 * if memory is short.
 */
bool negotiation_begin(struct negotiation *n, const struct section *section);

/*
 * Passes to the dialogs the count bytes that the server has sent: 0 in the first call. Writes their
 * answers to conn. To be called until the result is not NEGOTIATION_MORE.
 */
enum negotiation_result negotiation_feed(struct negotiation *n, const struct section *section,
                                         struct endpoint *conn, const uint8_t *bytes, size_t count);

/*
 * Notes that the connection has ended: how in words, or "" if the server has ended it in order.
 * Never returns NEGOTIATION_MORE or NEGOTIATION_DONE.
 */
enum negotiation_result negotiation_end(struct negotiation *n, const struct section *section,
                                        const char *how);

/* Returns the reason of a failure, and describes it with the dialog that has failed. */
enum reason negotiation_failure(const struct negotiation *n, const struct section *section,
                                char detail[NEGOTIATION_DETAIL_SIZE]);

/* Frees everything. Another one may then begin. */
void negotiation_clear(struct negotiation *n);

/* Returns true if a negotiation of one section is also right for the other, in every word. */
bool negotiation_is_same(const struct section *a, const struct section *b);

#endif
