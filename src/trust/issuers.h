/* Pinned CAs: which certificates may be the anchor of a chain, and whether a chain has one. */
#ifndef TRUST_ISSUERS_H
#define TRUST_ISSUERS_H

#include <openssl/x509.h>
#include <stdbool.h>

#include "pin/pin.h"

struct issuers {
    STACK_OF(X509) *live;    /* those of pinned files, and those sent that a digest pins */
    STACK_OF(X509) *expired; /* the same, of pins that have expired */
    bool named;    /* a live one was sent, or a certificate sent names one as its issuer */
    bool complete; /* the certificates sent lead to one that names itself as its issuer */
};

/*
 * Finds the pinned CAs in the pins and in the certificates that a server sent, at this time
 * (seconds since the epoch). The leaf is never one of them: a server cannot vouch for itself. The
 * caller frees *found with issuers_free().
 */
void issuers_find(struct issuers *found, const struct pin_list *pins, int64_t now, X509 *leaf,
                  STACK_OF(X509) *sent);

/* Frees what issuers_find() has filled in. */
void issuers_free(struct issuers *found);

/*
 * Adds to *match the issuer pins that match in a verified chain, at this time (seconds since the
 * epoch), up to the first live one. The leaf, which comes first in the chain, matches none.
 */
void issuers_match(const struct pin_list *pins, const STACK_OF(X509) *chain, int64_t now,
                   struct pin_match *match);

/* Returns what may be wrong if no pinned CA was found, a constant text; or "". */
const char *issuers_hint(const struct pin_list *pins, const struct issuers *found);

/*
 * Looks for a pin that is written as the server's own but is that of a CA that the server sends.
 * Writes to text, of size bytes, pin_describe_misplaced() of it, or "" if there is none.
 */
void issuers_describe_misplaced(const struct pin_list *pins, const STACK_OF(X509) *sent, char *text,
                                size_t size);

#endif
