/*
 * The server of a TLS connection, and the verdict on it. This module collects the evidence that
 * OpenSSL has of the server and asks trust_judge(). It opens nothing: tls.c decides by the verdict.
 */
#ifndef TLS_PEER_H
#define TLS_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "tls/resumption.h"
#include "trust/policy.h"
#include "trust/trust.h"

struct certcache;
struct x509_store_ctx_st; /* OpenSSL's X509_STORE_CTX */

struct peer {
    const struct policy *policy;
    struct resumption resumption;
    struct trust_verdict verdict; /* the latest; zeroed: the server has not been judged */
    uint64_t learned;             /* generation of the learned keys that the verdict rests on */
    bool trust_changed; /* peer_set_policy() has replaced the trust that the handshake began with */
    int64_t now;        /* in seconds since the epoch; the caller sets it */
};

/*
 * Replaces the policy, which is borrowed, and drops the verdict. If the new policy differs in trust
 * from the old one, the connection neither offers nor stores a session any more.
 */
void peer_set_policy(struct peer *p, const struct policy *policy);

/*
 * Judges the server of a connection by this evidence, to which it adds the OCSP response. A resumed
 * session is judged by what its full handshake brought.
 */
void peer_judge(struct peer *p, struct ssl_st *ssl, struct trust_evidence *evidence);

/*
 * Judges the chain or the raw public key that OpenSSL's callback is to verify, before the server has
 * proved that it holds the key. Certificates of the chain are replaced by equal ones of certs.
 * Returns whether the verdict permits the handshake to continue to its end.
 */
bool peer_verify(struct peer *p, struct certcache *certs, struct ssl_st *ssl,
                 struct x509_store_ctx_st *ctx);

/*
 * Fills in the evidence of a complete handshake. Returns false if the server has presented nothing
 * that could be judged.
 */
bool peer_evidence(struct ssl_st *ssl, struct trust_evidence *evidence);

/* Returns whether the server that was judged is the one of this evidence. */
bool peer_is_judged(const struct peer *p, const struct trust_evidence *evidence);

/* Returns whether the verdict is final and rests on the policy and the learned keys of now. */
bool peer_is_current(const struct peer *p);

/*
 * Returns whether the verdict is a no that has an effect only when the server has proved its key:
 * the key is then stored, as the accepted or as a refused one. A certificate alone is public, so
 * anybody can send it.
 */
bool peer_awaits_proof(const struct peer *p);

/* Returns whether the server was judged, with a no that ends the handshake. */
bool peer_is_refused(const struct peer *p);

/*
 * Returns whether the server may learn who its client is. Judges it again, by what it has presented,
 * if peer_set_policy() has dropped the verdict since.
 */
bool peer_may_know_client(struct peer *p, struct ssl_st *ssl);

/* Returns whether the policy permits the version of TLS that a connection has. */
bool peer_version_is_permitted(const struct peer *p, const struct ssl_st *ssl);

/* Returns the group of the key agreement, "" without one. Lives as long as ssl. */
const char *peer_group(struct ssl_st *ssl);

/* Frees what it refers to. */
void peer_clear(struct peer *p);

#endif
