/*
 * Trust: is this server the one that the administrator pinned? See pinproxyd.conf(5), TRUST.
 *
 * trust_judge() checks the certificates that a server presents against the policy of a section
 * (policy.h), and says yes, or no and why. It has no connection: the handshake proves that the
 * server has the private key, so a verdict has an effect only when the handshake is complete
 * (tls.h). A verdict starts as refused; one line of trust.c turns it into trusted.
 *
 * Pins are compared by digests (pin_matches() in pin.h); chain.h verifies chains.
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
struct evp_pkey_st;   /* OpenSSL's EVP_PKEY */

#define TRUST_DETAIL_SIZE 512

/* The evidence that a server presents. It is borrowed. */
struct trust_evidence {
    struct x509_st *leaf;        /* its own certificate */
    struct stack_st_X509 *sent;  /* all that it sent, with the leaf */
    struct evp_pkey_st *raw_key; /* its key, presented without a certificate; leaf is then NULL */
    const uint8_t *staple;       /* the OCSP response that it stapled, or NULL */
    size_t staple_len;
    bool complete; /* false: the handshake is not complete, and a staple may still come */
};

struct trust_verdict {
    bool trusted;
    enum reason reason;    /* why not; REASON_OK if trusted */
    const struct pin *pin; /* the one that matched, of the policy or learned below; or NULL */
    enum reason reported;  /* trusted only because the section reports: why the pins refused */
    int x509_error;        /* for OpenSSL, which chooses the alert by it */
    char *detail;          /* the details of reason or of reported; or NULL */
    struct stack_st_X509 *chain; /* the presented chain, the server's own first; a reference */
    struct evp_pkey_st *raw_key; /* the key presented in place of a chain, a reference; or NULL */
    struct stack_st_X509 *verified; /* the chain to an anchor, a reference; NULL: none was needed */

    struct cert_digests server; /* of what the server presented; zero: nothing */

    /*
     * the keys of the CAs in the verified chain, which a later `revoked` may name (recheck.h), in
     * both forms (spki.h) where they differ
     */
    uint8_t (*ca_keys)[CERT_DIGEST_SIZE];
    size_t ca_key_count;

    struct pin *learned; /* the copy that pin points to if it is a learned one; or NULL */
};

/*
 * Judges the evidence of a server at this time (seconds since the epoch). Fills in a zeroed
 * verdict, which the caller frees with trust_verdict_free(). The policy must outlive the verdict.
 *
 * If evidence->complete is false, a positive verdict is provisional: with policy_wants_staple() the
 * caller judges again after the handshake. REASON_FIRST_USE means that the server would be trusted,
 * but its section has no key yet: the caller stores the key (learned.h), and judges again.
 */
void trust_judge(const struct policy *policy, const struct trust_evidence *evidence, int64_t now,
                 struct trust_verdict *verdict);

/* Frees what trust_judge() has filled in, and zeroes the verdict. */
void trust_verdict_free(struct trust_verdict *v);

#endif
