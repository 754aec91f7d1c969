/*
 * Chains: from a server's certificate to a trust anchor. All path building and every check of it
 * (signatures, dates, CA flags, path lengths, name constraints, purpose, revocation lists) is
 * X509_verify_cert()'s; this module says with what, and adds four checks that it leaves out or
 * makes in another way: of short RSA keys, of an anchor's CA flag, of the name (certname.h), and
 * that CAs allow the very name that was asked for.
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
    STACK_OF(X509) *sent;    /* what came with it */
    X509_STORE *store;       /* the anchors ... */
    STACK_OF(X509) *anchors; /* ... or, when not NULL, these alone, roots or not */
    bool allow_partial;      /* where no root is found, another certificate of the store will do */
    bool check_crls;         /* of the whole chain, with the store's lists */
    const char *name;        /* that the certificate must carry: a host name or an IP address */
    int64_t now;             /* seconds since the epoch */
};

/* To verify as a policy wants it: by its store, or, where not NULL, to these anchors alone. */
struct chain_request chain_request(const struct policy *p, X509 *leaf, STACK_OF(X509) *sent,
                                   STACK_OF(X509) *anchors, int64_t now);

struct chain_result {
    STACK_OF(X509) *chain; /* the verified chain, the leaf first; NULL: there is none */
    int error;             /* X509_V_OK, or why not */
    int depth;             /* where */
};

/* Builds and verifies. True, with a chain to be freed by chain_free(); or false, error set. */
bool chain_verify(const struct chain_request *request, struct chain_result *result);

/* Returns whether a verified chain ends at a CA that is no root. */
bool chain_is_partial(const struct chain_result *result);

void chain_free(struct chain_result *result);

/*
 * Whether a key is as strong as the rules want it: RSA of 2048 bits, others of 112 bits of
 * strength.
 */
bool chain_key_is_strong(const EVP_PKEY *key);

/*
 * Returns whether one signature by a server's own key costs no more than is sane: RSA of 8192 bits
 * at most, with an exponent of 64 bits at most. False as well when memory is short.
 */
bool chain_key_is_bounded(const EVP_PKEY *key);

/* Whether the error means that a key or a signature is too weak. */
bool chain_is_weakness(int error);

#endif
