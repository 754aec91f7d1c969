#include "tls/peer.h"

#include <openssl/ssl.h>
#include <string.h>

#include "trust/peerchain.h"

void peer_set_policy(struct peer *p, const struct policy *policy)
{
    if (memcmp(policy->id, p->policy->id, POLICY_ID_SIZE) != 0) {
        p->trust_changed = true;
        resumption_give_up(&p->resumption);
    }
    p->policy = p->resumption.policy = policy;
    /* it points into the old policy */
    trust_verdict_free(&p->verdict);
}

void peer_judge(struct peer *p, SSL *ssl, struct trust_evidence *evidence)
{
    unsigned char *staple = NULL;
    long len = SSL_get_tlsext_status_ocsp_resp(ssl, &staple);

    if (evidence->complete && SSL_session_reused(ssl)) {
        evidence->staple = p->resumption.offered.staple;
        evidence->staple_len = p->resumption.offered.staple_len;
    } else if (len > 0) {
        evidence->staple = staple;
        evidence->staple_len = (size_t)len;
    }
    trust_verdict_free(&p->verdict);
    p->learned = policy_learned_generation(p->policy);
    trust_judge(p->policy, evidence, p->now, &p->verdict);
}

bool peer_evidence(SSL *ssl, struct trust_evidence *evidence)
{
    *evidence = (struct trust_evidence){.leaf = SSL_get0_peer_certificate(ssl),
                                        .sent = SSL_get_peer_cert_chain(ssl),
                                        .complete = true};
    return evidence->leaf != NULL;
}

bool peer_is_judged(const struct peer *p, const struct trust_evidence *evidence)
{
    return peerchain_length(&p->verdict) > 0 && peerchain_starts_with(&p->verdict, evidence->leaf);
}

bool peer_is_current(const struct peer *p)
{
    return peerchain_length(&p->verdict) > 0 && !peer_awaits_proof(p)
           && policy_learned_generation(p->policy) == p->learned;
}

bool peer_awaits_proof(const struct peer *p)
{
    return p->verdict.reason == REASON_FIRST_USE || p->verdict.reason == REASON_TOFU_CHANGED;
}

bool peer_may_continue(const struct peer *p)
{
    return p->verdict.trusted || p->verdict.reason == REASON_PROBE_ONLY || peer_awaits_proof(p);
}

bool peer_is_refused(const struct peer *p)
{
    return peerchain_length(&p->verdict) > 0 && !p->verdict.trusted && !peer_awaits_proof(p);
}

void peer_clear(struct peer *p)
{
    resumption_clear(&p->resumption);
    trust_verdict_free(&p->verdict);
}
