#include "tls/resumption.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "tls/rawkey.h"

/*
 * Returns true if the server of a session would be trusted now. If not, a full handshake decides.
 */
static bool is_trusted_now(const struct resumption *r, const struct sessioncache_item *s,
                           int64_t now)
{
    const struct trust_evidence evidence = {.leaf = sk_X509_value(s->chain, 0),
                                            .sent = s->chain,
                                            .raw_key = rawkey_of_session(s->tls),
                                            .staple = s->staple,
                                            .staple_len = s->staple_len,
                                            .complete = true};
    struct trust_verdict verdict = {0};
    bool trusted;

    trust_judge(r->policy, &evidence, now, &verdict);
    trusted = verdict.trusted;
    trust_verdict_free(&verdict);
    return trusted;
}

void resumption_offer(struct resumption *r, SSL *ssl, int64_t now)
{
    r->established = now;
    while (r->sessions && sessioncache_take(r->sessions, r->policy, now, &r->offered)) {
        if (is_trusted_now(r, &r->offered, now) && SSL_set_session(ssl, r->offered.tls) == 1)
            return;
        sessioncache_item_clear(&r->offered);
    }
}

bool resumption_take(struct resumption *r, SSL_SESSION *ticket)
{
    if (!r->sessions || r->ticket_count == RESUMPTION_TICKETS_MAX)
        return false;
    r->tickets[r->ticket_count++] = ticket;
    return true;
}

/* Stores a session, and takes ownership of the reference. */
static void store(struct resumption *r, SSL *ssl, const struct trust_verdict *verdict,
                  SSL_SESSION *session)
{
    struct sessioncache_item s = {.tls = session, .established = r->established};
    unsigned char *staple = NULL;
    long len = SSL_get_tlsext_status_ocsp_resp(ssl, &staple);

    /* a session with a raw key stores it itself */
    s.chain = verdict->chain ? X509_chain_up_ref(verdict->chain) : NULL;
    if (!s.chain && !rawkey_of_session(session)) {
        sessioncache_item_clear(&s);
        return;
    }
    if (SSL_session_reused(ssl)) {
        staple = r->offered.staple;
        len = (long)r->offered.staple_len;
    }
    if (staple && len > 0 && (s.staple = malloc((size_t)len))) {
        memcpy(s.staple, staple, (size_t)len);
        s.staple_len = (size_t)len;
    }
    sessioncache_put(r->sessions, r->policy, &s);
}

void resumption_store(struct resumption *r, SSL *ssl, const struct trust_verdict *verdict)
{
    while (r->ticket_count) {
        SSL_SESSION *session = r->tickets[--r->ticket_count];

        if (verdict->reported == REASON_OK)
            store(r, ssl, verdict, session);
        else
            SSL_SESSION_free(session);
    }
}

void resumption_opened(struct resumption *r, SSL *ssl, const struct trust_verdict *verdict)
{
    if (SSL_session_reused(ssl)) {
        r->established = r->offered.established;
        /* unlike a ticket of TLS 1.3 it may be used again, and no callback reports it */
        if (SSL_version(ssl) < TLS1_3_VERSION && verdict->reported == REASON_OK)
            store(r, ssl, verdict, SSL_get1_session(ssl));
    }
    resumption_store(r, ssl, verdict);
}

void resumption_give_up(struct resumption *r)
{
    r->sessions = NULL;
    while (r->ticket_count)
        SSL_SESSION_free(r->tickets[--r->ticket_count]);
}

void resumption_clear(struct resumption *r)
{
    resumption_give_up(r);
    sessioncache_item_clear(&r->offered);
}
