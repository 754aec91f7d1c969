/*
 * Notes about the next renewal of a server's certificate, as far as it can be known: which pins end
 * with the certificate, and which may be useless after it. Nobody but the server knows its next
 * key.
 */
#ifndef PINPROXY_RENEWAL_H
#define PINPROXY_RENEWAL_H

#include <jansson.h>

#include "pinproxy/probe.h"

/*
 * Returns notes on a chain, as an array of sentences. The first certificate is the server's. The
 * caller frees it.
 */
json_t *renewal_of_chain(const struct cert_info *chain, size_t count);

/*
 * Returns notes on the live pins of a section, as an array of sentences, which may be empty. p is a
 * probe of the section's server, or NULL: without it nothing is known about an issuer that is
 * pinned by a digest. now is in seconds since the epoch. The caller frees the array.
 */
json_t *renewal_of_section(const struct section *s, const struct probe *p, int64_t now);

#endif
