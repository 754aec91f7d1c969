/*
 * Trust: is this server the one that the administrator pinned?
 *
 * A policy is built once per section from the configuration and never changes. trust_judge() looks
 * at what a server presented and says yes, or no and why. It knows nothing of connections: that the
 * server holds the private key is proved by the handshake, so a verdict counts only once that is
 * over (tls.h). The verdict starts as refused; one place in trust.c turns it into trusted.
 *
 * Path building is X509_verify_cert()'s alone; pins are compared by SHA-256 over DER. See
 * pinproxyd.conf(5), TRUST.
 */
#ifndef ENGINE_TRUST_H
#define ENGINE_TRUST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"
#include "config/cert.h"
#include "config/config.h"
#include "config/problems.h"

struct x509_st;
struct stack_st_X509;
struct trust_policy;
struct trust_stores;

/* Trust anchors, each set loaded once however many sections name it. */
struct trust_stores *trust_stores_new(void);
void trust_stores_free(struct trust_stores *s);

/*
 * The policy of a section. The section must outlive it; the stores need not. NULL after adding to
 * problems what cannot be loaded.
 */
struct trust_policy *trust_policy_new(const struct config_section *section,
                                      struct trust_stores *stores, struct problems *problems);

/* A policy that trusts nobody: to look at a server's certificates. The section must outlive it. */
struct trust_policy *trust_policy_observe(const struct config_section *section);

void trust_policy_free(struct trust_policy *p);

#define TRUST_DETAIL_SIZE 256

struct trust_verdict {
    bool trusted;
    enum reason reason;    /* why not; REASON_OK when trusted */
    const struct pin *pin; /* that matched; the configuration's. NULL without pins */
    int x509_error;        /* for OpenSSL, which words the alert by it */
    char detail[TRUST_DETAIL_SIZE];
    struct stack_st_X509 *chain; /* what was presented, the server's own first; a reference */
};

/*
 * Judges what a server presented at this time (seconds since the epoch), its own certificate and
 * all that it sent. Fills in a zeroed verdict, to be freed with trust_verdict_free().
 */
void trust_judge(const struct trust_policy *policy, struct x509_st *leaf,
                 struct stack_st_X509 *sent, int64_t now, struct trust_verdict *verdict);

void trust_verdict_free(struct trust_verdict *v);

/* The presented certificates, the server's own first. index < count; see cert_describe(). */
size_t trust_chain_length(const struct trust_verdict *v);
bool trust_chain_starts_with(const struct trust_verdict *v, const struct x509_st *leaf);
bool trust_chain_describe(const struct trust_verdict *v, size_t index, struct cert_info *info);

/* The server's pin and each CA's, in the configuration's own form, space-separated. Caller frees. */
char *trust_chain_pins(const struct trust_verdict *v);

/*
 * Whether the PKI finds the presented chain valid for the section's name at this time, whatever the
 * pins say: "valid", or what is wrong. It tells a renewal from an attack. Caller frees.
 */
char *trust_chain_pki(const struct trust_policy *policy, const struct trust_verdict *v,
                      int64_t now);

#endif
