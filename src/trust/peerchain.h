/* Describes the chain that a server presented, whatever the verdict (trust.h). */
#ifndef TRUST_PEERCHAIN_H
#define TRUST_PEERCHAIN_H

#include "trust/trust.h"

/*
 * Returns the server's own certificate, or NULL if it presented none but perhaps a raw public key.
 * The verdict owns it.
 */
struct x509_st *peerchain_leaf(const struct trust_verdict *v);

/*
 * Returns the number of certificates. The server's own is the first. A raw public key is a chain of
 * one.
 */
size_t peerchain_length(const struct trust_verdict *v);

/* Return whether this is the server's own certificate, or its raw public key. */
bool peerchain_starts_with(const struct trust_verdict *v, const struct x509_st *leaf);
bool peerchain_is_key(const struct trust_verdict *v, const struct evp_pkey_st *key);

/*
 * Describes a certificate or the raw public key, as cert_describe() and cert_describe_key(). index <
 * peerchain_length(v).
 */
bool peerchain_describe(const struct trust_verdict *v, size_t index, struct cert_info *info);

/*
 * Returns the server's pins and each CA's, in the configuration's own form, separated by spaces.
 * The caller frees it.
 */
char *peerchain_pins(const struct trust_verdict *v);

/*
 * Returns what the PKI finds of the presented chain for the section's name at this time (seconds
 * since the epoch), whatever the pins say: "valid", or what is wrong. It distinguishes a renewal
 * from an attack. The caller frees it.
 */
char *peerchain_pki(const struct policy *policy, const struct trust_verdict *v, int64_t now);

#endif
