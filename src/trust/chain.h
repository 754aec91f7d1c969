/*
 * Chains from a server's certificate to a trust anchor. X509_verify_cert(3) builds them and checks
 * signatures, dates, CA flags, path lengths, name constraints, purpose and revocation lists. This
 * module sets its parameters, and adds four checks that it does not make, or makes in another way:
 * the length of RSA keys, the CA flag of an anchor, the name (certname.h), and that the CAs allow
 * the very name that the section wants.
 */
#ifndef TRUST_CHAIN_H
#define TRUST_CHAIN_H

#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <stdbool.h>
#include <stdint.h>

struct policy;

struct chain_request {
    X509 *leaf;
    STACK_OF(X509) *sent;    /* the certificates that came with it */
    X509_STORE *store;       /* the anchors ... */
    STACK_OF(X509) *anchors; /* ... or, when not NULL, these alone, roots or not */
    bool allow_partial;      /* if no root is found, any certificate of the store is an anchor */
    bool check_crls;         /* check the whole chain with the lists of the store */
    const char *name;        /* what the certificate must have: a host, an address, a SPIFFE ID */
    int64_t now;             /* seconds since the epoch */
};

/* Returns the request of a policy: with its store, or with these anchors alone if not NULL. */
struct chain_request chain_request(const struct policy *p, X509 *leaf, STACK_OF(X509) *sent,
                                   STACK_OF(X509) *anchors, int64_t now);

struct chain_result {
    STACK_OF(X509) *chain; /* the verified chain, the leaf first; NULL: there is none */
    int error;             /* X509_V_OK, or why there is none */
    int depth;             /* of the certificate that the error is about */
};

/*
 * Builds and verifies a chain. Returns true with *result, which the caller frees with chain_free();
 * or false with its error and depth.
 */
bool chain_verify(const struct chain_request *request, struct chain_result *result);

/* Returns whether a verified chain ends at a CA that is no root. */
bool chain_is_partial(const struct chain_result *result);

/* Frees the chain. A zeroed *result is allowed. */
void chain_free(struct chain_result *result);

/* Returns whether a key is strong enough: RSA of 2048 bits, others of 112 bits of strength. */
bool chain_key_is_strong(const EVP_PKEY *key);

/*
 * Returns whether a signature by a server's own key is not too slow to verify: RSA of at most 8192
 * bits, with an exponent of at most 64 bits. Returns false if memory is short.
 */
bool chain_key_is_bounded(const EVP_PKEY *key);

/* Returns whether an error of a chain means that a key or a signature is too weak. */
bool chain_is_weakness(int error);

#endif
