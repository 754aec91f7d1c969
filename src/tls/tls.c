#include "tls/tls.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "tls/alpn.h"
#include "tls/certcache.h"
#include "tls/certmsg.h"
#include "tls/flood.h"
#include "tls/peer.h"
#include "tls/rawkey.h"
#include "tls/tlsbio.h"
#include "tls/tlserr.h"
#include "tls/tlsthread.h"

/* Plaintext moves in OPEN alone, which conclude() alone sets. */
enum state {
    HANDSHAKE,
    FIRST_USE, /* the handshake is complete; the caller stores the server's key */
    OPEN,
    REFUSED, /* the handshake is complete, and the verdict is no: close_notify may be sent */
    FAILED,
};

struct tls {
    SSL *ssl;
    struct peer peer;
    struct certcache *certs;
    struct tlsbio io;

    enum state state;
    bool heard;    /* the server has sent something */
    bool asked;    /* it has asked for a client certificate */
    bool accepted; /* it has sent a ticket, and so has accepted the client */
    struct flood flood;
    const char *excess; /* the limit of the handshake that was exceeded, static; or NULL */

    enum reason reason;
    const char *detail; /* static, error_text, or the verdict's */
    char *error_text;
};

/*
 * OpenSSL calls this with the presented chain or raw public key, in place of its own verification.
 * It is no evidence by itself: the server proves later in the handshake that it holds the key, and
 * the callback does not run at all when a session is resumed. conclude() checks the verdict that it
 * leaves.
 */
static int verify_callback(X509_STORE_CTX *ctx, void *unused)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls *t = SSL_get_app_data(ssl);

    (void)unused;
    if (peer_verify(&t->peer, t->certs, ssl, ctx))
        return 1;
    /* 3.2 to 3.4.0 would continue after a raw key was refused (CVE-2024-12797) */
    t->io.cut = true;
    return 0;
}

/*
 * OpenSSL calls this when the server has asked for a client certificate and has presented its own.
 * The handshake with a server whose key has changed continues, so that it can prove the new key.
 * It must not learn who its client is.
 */
static int client_cert_callback(SSL *ssl, void *arg)
{
    struct tls *t = arg;

    if (!peer_may_know_client(&t->peer, ssl))
        SSL_certs_clear(ssl);
    return 1;
}

/* A new session. It is stored only if conclude() opens the connection. */
static int session_callback(SSL *ssl, SSL_SESSION *session)
{
    struct tls *t = SSL_get_app_data(ssl);

    return resumption_take(&t->peer.resumption, session);
}

void tls_install(SSL_CTX *ctx)
{
    /* without VERIFY_PEER OpenSSL would continue after a refusal */
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, verify_callback, NULL);
    SSL_CTX_sess_set_new_cb(ctx, session_callback);
}

/* Ends the handshake: OpenSSL gets nothing more to read. why is static. */
static void stop_reading(struct tls *t, const char *why)
{
    t->excess = why;
    t->io.cut = true;
}

/* Notes what the server says about client certificates. */
static void note_message(struct tls *t, const uint8_t *message, size_t n)
{
    if (n > 0 && message[0] == SSL3_MT_CERTIFICATE_REQUEST)
        t->asked = true;
    if (n > 0 && message[0] == SSL3_MT_NEWSESSION_TICKET && t->state == OPEN)
        t->accepted = true;
}

/*
 * Counts and checks what the peer has sent, before OpenSSL parses it. A callback cannot stop
 * OpenSSL, so a message that it must not parse is overwritten with impossible lengths. If OpenSSL
 * ever passed a copy, the overwriting would have no effect, but the refusal would.
 */
static void message_callback(int sent, int version, int type, const void *bytes, size_t n, SSL *ssl,
                             void *arg)
{
    struct tls *t = arg;
    const char *why;

    (void)version;
    if (sent)
        return;
    if (type == SSL3_RT_HANDSHAKE)
        note_message(t, bytes, n);
    if (t->state == OPEN) {
        flood_count(&t->flood, type);
        return;
    }
    if (flood_in_handshake(&t->flood, type))
        stop_reading(t, "a flood of TLS messages in the handshake");
    why = type == SSL3_RT_HANDSHAKE
              ? certmsg_check(bytes, n, SSL_version(ssl) == TLS1_3_VERSION, rawkey_is_chosen(ssl))
              : NULL;
    if (why) {
        stop_reading(t, why);
        memset((uint8_t *)(uintptr_t)bytes + SSL3_HM_HEADER_LENGTH, 0xff,
               n - SSL3_HM_HEADER_LENGTH);
    }
}

struct tls *tls_new(SSL_CTX *ctx, const struct policy *policy, struct tls_thread *thread,
                    bool resume)
{
    const struct config_section *section = policy->section;
    struct tls *t = calloc(1, sizeof(*t));
    BIO *bio;

    if (!t)
        return NULL;
    t->peer.policy = policy;
    t->io.out = &thread->records;
    t->certs = thread->certs;
    t->peer.resumption.policy = policy;
    t->peer.resumption.sessions = resume && section->tls.resume ? thread->sessions : NULL;
    t->reason = REASON_TLS;
    t->detail = "";
    t->ssl = SSL_new(ctx);
    bio = t->ssl ? tlsbio_new_bio(&t->io) : NULL;
    if (!bio)
        goto fail;
    SSL_set_bio(t->ssl, bio, bio);
    if ((section->sni && SSL_set_tlsext_host_name(t->ssl, section->sni) != 1)
        || !alpn_offer(t->ssl, &section->alpn) || SSL_set_app_data(t->ssl, t) != 1)
        goto fail;
    /* OpenSSL itself then refuses a session that was made under another policy */
    if (SSL_set_session_id_context(t->ssl, policy->id, POLICY_ID_SIZE) != 1)
        goto fail;
    if (policy_wants_staple(policy)
        && SSL_set_tlsext_status_type(t->ssl, TLSEXT_STATUSTYPE_ocsp) != 1)
        goto fail;
    if (section->tls.client_cert.text)
        SSL_set_cert_cb(t->ssl, client_cert_callback, t);
    SSL_set_msg_callback(t->ssl, message_callback);
    SSL_set_msg_callback_arg(t->ssl, t);
    SSL_set_connect_state(t->ssl);
    return t;
fail:
    ERR_clear_error();
    tls_free(t);
    return NULL;
}

void tls_free(struct tls *t)
{
    if (!t)
        return;
    tlsbio_leave(&t->io);
    SSL_free(t->ssl);
    peer_clear(&t->peer);
    free(t->error_text);
    free(t);
}

void tls_set_policy(struct tls *t, const struct policy *policy)
{
    assert(t->state != OPEN);
    if (t->state == REFUSED || t->state == FAILED)
        return;
    peer_set_policy(&t->peer, policy);
}

void tls_put_records(struct tls *t, const uint8_t *bytes, size_t n)
{
    assert(t->io.in_len == 0); /* records that were not read would be lost */
    t->io.in = bytes;
    t->io.in_len = n;
    t->heard = t->heard || n > 0;
}

void tls_put_end(struct tls *t)
{
    t->io.ended = true;
}

size_t tls_take_records(struct tls *t, const uint8_t **bytes)
{
    return tlsbio_take(&t->io, bytes);
}

/* Fails for good. detail lives as long as the connection, or is NULL. */
static enum tls_result fail(struct tls *t, enum reason reason, const char *detail)
{
    t->state = FAILED;
    t->reason = reason;
    t->detail = detail ? detail : "";
    return TLS_FAILED;
}

/* Fails after a complete handshake, by the verdict. No plaintext has moved. */
static enum tls_result refuse(struct tls *t)
{
    (void)fail(t, t->peer.verdict.reason, t->peer.verdict.detail);
    t->state = REFUSED;
    return TLS_FAILED;
}

/* Refuses plaintext at a gate that is shut. An earlier failure keeps its reason. */
static enum tls_result refuse_plaintext(struct tls *t)
{
    if (t->state == HANDSHAKE || t->state == FIRST_USE)
        t->detail = "plaintext before the server was trusted";
    return TLS_FAILED;
}

/* Fails with OpenSSL's own error. To be called right after the call that failed. */
static enum tls_result fail_openssl(struct tls *t)
{
    char text[TLSERR_TEXT_SIZE];
    enum reason reason;

    if (t->io.overflowed)
        return fail(t, REASON_TLS, "the server caused more answers in one turn than are permitted");
    reason = tlserr_reason(t->ssl, t->asked, text);
    if (reason == REASON_CLIENT_CERT && t->peer.verdict.reason == REASON_TOFU_CHANGED)
        return fail(
            t, reason,
            "the server's key has changed, so it got no client certificate; it requires one");
    free(t->error_text);
    t->error_text = strdup(text); /* if memory is short, there is no text */
    return fail(t, reason, t->error_text);
}

/*
 * Waits until the caller has stored the key. The server may have sent more behind its handshake. It
 * is copied, for the caller's buffer holds other bytes by then.
 */
static enum tls_result wait_for_key(struct tls *t)
{
    if (!tlsbio_copy_input(&t->io))
        return fail(t, REASON_MEMORY, "");
    t->state = FIRST_USE;
    return TLS_FIRST_USE;
}

/* Fails unless the verdict on the server, and its TLS version, are what the policy permits. */
static enum tls_result check_verdict(struct tls *t)
{
    if (!t->peer.verdict.trusted)
        return refuse(t);
    if (!peer_version_is_permitted(&t->peer, t->ssl))
        return fail(t, REASON_TLS,
                    "the TLS version is one that tls_min or tls_max no longer permits");
    return TLS_OK;
}

/*
 * The one place that opens the plaintext gates. The handshake is complete, so the server has proved
 * that it holds the key of its certificate. All of the following must hold too, whatever the
 * callback returned and whether it ran or not (it does not for resumed sessions and anonymous
 * suites). The server is judged again if there is more evidence than the callback saw, if the
 * session is resumed, or if the policy or the learned keys have changed since.
 */
static enum tls_result conclude(struct tls *t)
{
    const bool reused = SSL_session_reused(t->ssl);
    struct trust_evidence evidence;

    if (!peer_evidence(t->ssl, &evidence))
        return fail(t, REASON_TLS, "the server presented no certificate and no raw public key");
    if (reused && !t->peer.resumption.offered.tls)
        return fail(t, REASON_TLS, "a session was resumed that was never offered");
    if (reused || policy_wants_staple(t->peer.policy) || !peer_is_current(&t->peer))
        peer_judge(&t->peer, t->ssl, &evidence);
    if (!peer_is_judged(&t->peer, &evidence))
        return fail(t, REASON_TLS, "the certificate or key that was judged is not the server's");
    if (t->peer.verdict.reason == REASON_FIRST_USE)
        return wait_for_key(t);
    if (check_verdict(t) != TLS_OK)
        return TLS_FAILED;
    if (reused && t->peer.trust_changed)
        return fail(t, REASON_TLS, "a session was resumed that was made under another trust");
    t->state = OPEN;
    flood_opened(&t->flood);
    if (!reused)
        certcache_add_chain(t->certs, evidence.sent, t->peer.verdict.verified);
    resumption_opened(&t->peer.resumption, t->ssl, &t->peer.verdict);
    return TLS_OK;
}

enum tls_result tls_judge_again(struct tls *t, const struct policy *policy, int64_t now)
{
    struct trust_evidence evidence;

    if (t->state != OPEN)
        return TLS_FAILED;
    peer_set_policy(&t->peer, policy);
    t->peer.now = now;
    if (peer_evidence(t->ssl, &evidence))
        peer_judge(&t->peer, t->ssl, &evidence);
    return check_verdict(t); /* without evidence the verdict is empty, which is a no */
}

enum tls_result tls_handshake(struct tls *t, int64_t now)
{
    int ret;

    if (t->state != HANDSHAKE && t->state != FIRST_USE)
        return TLS_FAILED;
    t->peer.now = now;
    if (SSL_in_before(t->ssl))
        resumption_offer(&t->peer.resumption, t->ssl, now);
    for (;;) {
        ERR_clear_error();
        ret = SSL_connect(t->ssl);
        if (t->excess)
            return fail(t, REASON_TLS, t->excess);
        if (ret == 1)
            return conclude(t);
        switch (SSL_get_error(t->ssl, ret)) {
        case SSL_ERROR_WANT_READ:
            if (t->io.in_len == 0 && !t->io.ended)
                return TLS_WANT_READ;
            if (t->io.in_len == 0)
                return fail(t, REASON_TLS, tls_loss(t, false));
            continue; /* a record was read, and it was not the last */
        default:
            break;
        }
        /* the callback has refused: its reason is the cause, OpenSSL's error is the effect */
        if (peer_is_refused(&t->peer))
            return fail(t, t->peer.verdict.reason, t->peer.verdict.detail);
        if (t->io.ended && t->io.in_len == 0 && tlserr_is_end())
            return fail(t, REASON_TLS, tls_loss(t, false));
        return fail_openssl(t);
    }
}

enum tls_result tls_read(struct tls *t, uint8_t *buf, size_t size, size_t *got)
{
    size_t n;
    int ret;

    *got = 0;
    if (t->state != OPEN)
        return refuse_plaintext(t);
    ERR_clear_error(); /* once: SSL_read_ex() leaves nothing in the queue while all goes well */
    while (*got < size) {
        ret = SSL_read_ex(t->ssl, buf + *got, size - *got, &n);
        if (ret == 1) {
            *got += n;
            t->flood.received += n;
            continue;
        }
        switch (SSL_get_error(t->ssl, 0)) {
        case SSL_ERROR_WANT_READ:
            resumption_store(&t->peer.resumption, t->ssl, &t->peer.verdict);
            ERR_clear_error();
            if (flood_is_exceeded(&t->flood))
                return fail(t, REASON_TLS, "a flood of TLS messages without data");
            if (t->io.in_len > 0)
                continue; /* that was a record without plaintext */
            /*
             * SSL_MODE_RELEASE_BUFFERS does this after plaintext, but not after a ticket. In the
             * middle of a record older libraries would free what they still need (CVE-2024-4741).
             */
            if (tls_is_between_records(t))
                (void)SSL_free_buffers(t->ssl);
            return t->io.ended ? TLS_TRUNCATED : TLS_WANT_READ;
        case SSL_ERROR_ZERO_RETURN:
            resumption_store(&t->peer.resumption, t->ssl, &t->peer.verdict);
            return TLS_CLOSED;
        default:
            if (t->io.ended && t->io.in_len == 0 && tlserr_is_end())
                return TLS_TRUNCATED;
            return fail_openssl(t);
        }
    }
    return TLS_OK;
}

bool tls_is_between_records(const struct tls *t)
{
    /* "RH": a header comes next; SSL_has_pending: a part of it has come */
    return !SSL_has_pending(t->ssl) && strcmp(SSL_rstate_string(t->ssl), "RH") == 0;
}

enum tls_result tls_write(struct tls *t, const uint8_t *bytes, size_t n)
{
    size_t written;

    if (t->state != OPEN)
        return refuse_plaintext(t);
    if (n == 0)
        return TLS_OK;
    ERR_clear_error();
    /* the buffer has room for a whole turn, so a write is never partial */
    if (SSL_write_ex(t->ssl, bytes, n, &written) != 1)
        return fail_openssl(t);
    return TLS_OK;
}

void tls_close_notify(struct tls *t)
{
    /* in a handshake, or after a fatal error, SSL_shutdown() would only fill the error queue */
    if (t->state == HANDSHAKE || t->state == FAILED)
        return;
    ERR_clear_error();
    (void)SSL_shutdown(t->ssl); /* 0: it is sent, and the peer's has not come yet */
    ERR_clear_error();
}

const char *tls_loss(const struct tls *t, bool is_reset)
{
    return tlserr_loss(is_reset, t->heard);
}

enum reason tls_failure(const struct tls *t, const char **detail)
{
    *detail = t->detail;
    return t->reason;
}

const struct trust_verdict *tls_verdict(const struct tls *t)
{
    return &t->peer.verdict;
}

const char *tls_version(const struct tls *t)
{
    return SSL_get_version(t->ssl);
}

const char *tls_cipher(const struct tls *t)
{
    return SSL_get_cipher_name(t->ssl);
}

const char *tls_group(const struct tls *t)
{
    return peer_group(t->ssl);
}

bool tls_is_resumed(const struct tls *t)
{
    return SSL_session_reused(t->ssl);
}

bool tls_is_asked(const struct tls *t)
{
    return t->asked;
}

bool tls_awaits_acceptance(const struct tls *t)
{
    return t->asked && !t->accepted && SSL_version(t->ssl) == TLS1_3_VERSION;
}

const char *tls_library(void)
{
    return OpenSSL_version(OPENSSL_VERSION);
}
