/* What a server presented, for people: of a verdict (trust.h), whichever it was. */
#ifndef TRUST_PEERCHAIN_H
#define TRUST_PEERCHAIN_H

#include "trust/trust.h"

/* The server's own certificate, for as long as the verdict lives; NULL when it has shown none. */
struct x509_st *peerchain_leaf(const struct trust_verdict *v);

/* The presented certificates, the server's own first. index < count; see cert_describe(). */
size_t peerchain_length(const struct trust_verdict *v);
bool peerchain_starts_with(const struct trust_verdict *v, const struct x509_st *leaf);
bool peerchain_describe(const struct trust_verdict *v, size_t index, struct cert_info *info);

/*
 * The server's pins and each CA's, in the configuration's own form, space-separated. Caller frees.
 */
char *peerchain_pins(const struct trust_verdict *v);

/*
 * Whether the PKI finds the presented chain valid for the section's name at this time, whatever the
 * pins say: "valid", or what is wrong. It tells a renewal from an attack. Caller frees.
 */
char *peerchain_pki(const struct policy *policy, const struct trust_verdict *v, int64_t now);

#endif
