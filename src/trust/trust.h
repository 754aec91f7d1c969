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
#include "config/section.h"
#include "pin/cert.h"
#include "trust/policy.h"

struct x509_st;
struct stack_st_X509;

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

    uint8_t (*keys)[CERT_DIGEST_SIZE]; /* which `revoked` was compared with: the server's first */
    size_t key_count;

    struct pin *learned; /* what pin points to when it was learned; NULL: it was not */
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

/*
 * Checks whether a server that was trusted under an earlier policy may stay under this one: not if
 * its key, or one of its verified chain, is revoked now; nor, where on_pin_removed = close, if the
 * pin that it was accepted on is gone, or if the last day of that pin came after since and by now.
 * A date in the past that a reload brings closes nothing. since is when the server was judged or
 * checked last, both are in seconds since the epoch. Returns REASON_OK, or why not with a detail.
 */
enum reason trust_recheck(const struct policy *policy, const struct trust_verdict *verdict,
                          int64_t since, int64_t now, char detail[TRUST_DETAIL_SIZE]);

void trust_verdict_free(struct trust_verdict *v);

#endif
