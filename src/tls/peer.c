#include "tls/peer.h"

#include <openssl/ec.h>
#include <openssl/ssl.h>
#include <string.h>

#include "config/section.h"
#include "tls/certcache.h"
#include "tls/rawkey.h"
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

static bool may_continue(const struct peer *p)
{
    return p->verdict.trusted || p->verdict.reason == REASON_PROBE_ONLY || peer_awaits_proof(p);
}

/*
 * The list belongs to the connection, and OpenSSL takes the server's key from it when the callback
 * returns. So certificates can be replaced here by equal ones from the cache. A server that is not
 * trusted adds none to the cache.
 */
bool peer_verify(struct peer *p, struct certcache *certs, SSL *ssl, X509_STORE_CTX *ctx)
{
    struct trust_evidence evidence = {.sent = X509_STORE_CTX_get0_untrusted(ctx),
                                      .raw_key = rawkey_to_verify(ctx)};

    certcache_share(certs, evidence.sent);
    evidence.leaf = sk_X509_value(evidence.sent, 0);
    if (evidence.leaf)
        X509_STORE_CTX_set_cert(ctx, evidence.leaf);
    peer_judge(p, ssl, &evidence);
    X509_STORE_CTX_set_error(ctx, p->verdict.x509_error);
    return may_continue(p);
}

bool peer_evidence(SSL *ssl, struct trust_evidence *evidence)
{
    *evidence = (struct trust_evidence){.leaf = SSL_get0_peer_certificate(ssl),
                                        .sent = SSL_get_peer_cert_chain(ssl),
                                        .raw_key = rawkey_of_peer(ssl),
                                        .complete = true};
    return evidence->leaf || evidence->raw_key;
}

bool peer_is_judged(const struct peer *p, const struct trust_evidence *evidence)
{
    return evidence->raw_key ? peerchain_is_key(&p->verdict, evidence->raw_key)
                             : peerchain_starts_with(&p->verdict, evidence->leaf);
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

bool peer_is_refused(const struct peer *p)
{
    return peerchain_length(&p->verdict) > 0 && !p->verdict.trusted && !peer_awaits_proof(p);
}

bool peer_may_know_client(struct peer *p, SSL *ssl)
{
    struct trust_evidence evidence;

    if (peerchain_length(&p->verdict) == 0 && peer_evidence(ssl, &evidence)) {
        evidence.complete = false;
        peer_judge(p, ssl, &evidence);
    }
    return p->verdict.trusted || p->verdict.reason == REASON_FIRST_USE;
}

/* OpenSSL checks the versions of the context, but the policy may be a newer one. */
bool peer_version_is_permitted(const struct peer *p, const SSL *ssl)
{
    const struct config_tls_settings *s = &p->policy->section->tls;

    return SSL_version(ssl) == TLS1_2_VERSION ? s->min != CONFIG_TLS_1_3 : s->max != CONFIG_TLS_1_2;
}

const char *peer_group(SSL *ssl)
{
    const int nid = (int)SSL_get_negotiated_group(ssl);
    const char *name;

    /* a resumed session of TLS 1.2 still has the group of its full handshake */
    if (nid == NID_undef || (SSL_session_reused(ssl) && SSL_version(ssl) == TLS1_2_VERSION))
        return "";
    /* those that came with a provider have no number of their own */
    name = nid & TLSEXT_nid_unknown ? SSL_group_to_name(ssl, nid) : EC_curve_nid2nist(nid);
    return name ? name : OBJ_nid2sn(nid);
}

void peer_clear(struct peer *p)
{
    resumption_clear(&p->resumption);
    trust_verdict_free(&p->verdict);
}
