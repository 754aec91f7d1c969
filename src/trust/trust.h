/*
 * Trust: is this server the one that the administrator pinned?
 *
 * A policy is built once per section from the configuration and never changes. trust_judge() looks
 * at what a server presented and says yes, or no and why. It knows nothing of connections: that the
 * server holds the private key is proved by the handshake, so a verdict counts only once that is
 * over (tls.h). The verdict starts as refused; one place in trust.c turns it into trusted.
 *
 * Chains are X509_verify_cert()'s matter (chain.h); pins are compared by SHA-256 over DER. See
 * pinproxyd.conf(5), TRUST.
 */
#ifndef TRUST_TRUST_H
#define TRUST_TRUST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"
#include "pin/cert.h"

struct pin;
struct policy;
struct x509_st;       /* OpenSSL's X509 */
struct stack_st_X509; /* OpenSSL's STACK_OF(X509) */

#define TRUST_DETAIL_SIZE 512

/* What a server presented. */
struct trust_evidence {
    struct x509_st *leaf;       /* its own certificate */
    struct stack_st_X509 *sent; /* all that it sent, the leaf among them */
    const uint8_t *staple;      /* the OCSP response that came with it, or NULL */
    size_t staple_len;
    bool complete; /* false: in the midst of a handshake, when a staple may still be to come */
};

struct trust_verdict {
    bool trusted;
    enum reason reason;    /* why not; REASON_OK when trusted */
    const struct pin *pin; /* that matched: the configuration's, or learned. NULL without pins */
    enum reason reported;  /* trusted, but only since the section reports: what the pins said */
    int x509_error;        /* for OpenSSL, which words the alert by it */
    char *detail;          /* more words, of the reason or of what is reported; or NULL */
    struct stack_st_X509 *chain; /* what was presented, the server's own first; a reference */
    struct stack_st_X509
        *verified; /* the chain to an anchor, a reference; NULL: none was asked for */

    struct cert_digests server;           /* of the server's own certificate; zero: none came */
    uint8_t (*ca_keys)[CERT_DIGEST_SIZE]; /* of the CAs in the verified chain: of all keys that
                                             `revoked` was compared with, but the server's */
    size_t ca_key_count;

    struct pin *learned; /* the copy that pin points to if it is a learned one; or NULL */
};

/*
 * Judges what a server presented, at this time (seconds since the epoch). Fills in a zeroed
 * verdict, to be freed with trust_verdict_free().
 *
 * A verdict on evidence that is not complete is a yes only in so far: where policy_wants_staple(),
 * it has to be asked for again when the handshake is over. REASON_FIRST_USE says that nothing
 * speaks against the server but that its section has no key yet: once the key has been kept
 * (learned.h), it is to be judged anew.
 */
void trust_judge(const struct policy *policy, const struct trust_evidence *evidence, int64_t now,
                 struct trust_verdict *verdict);

void trust_verdict_free(struct trust_verdict *v);

#endif
