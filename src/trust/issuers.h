/* Pinned issuers: which certificates may be the anchor of a chain that ends in a pinned CA. */
#ifndef TRUST_ISSUERS_H
#define TRUST_ISSUERS_H

#include <openssl/x509.h>
#include <stdbool.h>

#include "pin/pin.h"

struct issuers {
    STACK_OF(X509) *live;    /* pinned CAs at hand, and those on the wire whose digest is pinned */
    STACK_OF(X509) *expired; /* those whose pins are past their date */
    bool named;              /* a live one was sent, or is named as issuer by what was sent */
    bool complete;           /* what was sent leads to a certificate that names itself its issuer */
};

/*
 * Collects them from the pins and from what a server sent, at this time (seconds since the epoch).
 * The leaf is never among them: a server does not vouch for itself. To be freed with
 * issuers_free().
 */
void issuers_find(struct issuers *found, const struct pin_list *pins, int64_t now, X509 *leaf,
                  STACK_OF(X509) *sent);

void issuers_free(struct issuers *found);

/*
 * Adds to *match the issuer pins that match in a verified chain, at this time (seconds since the
 * epoch), up to the first live one. The leaf, which comes first in the chain, matches none.
 */
void issuers_match(const struct pin_list *pins, const STACK_OF(X509) *chain, int64_t now,
                   struct pin_match *match);

/* Where no pinned issuer was found: "", or what may be the matter. */
const char *issuers_hint(const struct pin_list *pins, const struct issuers *found);

/*
 * Looks for a pin that is written as the server's own and is that of a CA that the server sends.
 * Writes to text, of size bytes, that it is and how a CA is pinned; or "" if there is none.
 */
void issuers_describe_misplaced(const struct pin_list *pins, const STACK_OF(X509) *sent, char *text,
                                size_t size);

#endif
