#include "engine/tls.h"

#include <assert.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"

#define DETAIL_SIZE (TRUST_DETAIL_SIZE + 64)

/*
 * After the handshake a server may say things that are no plaintext: tickets, key updates, requests
 * to renegotiate. Each costs it a few bytes and us a derivation and perhaps an answer, so they are
 * rationed: this many, and one more for so many bytes of plaintext.
 */
#define CHATTER_FREE 64
#define CHATTER_PER_BYTES 4096

struct tls {
    SSL *ssl;
    const struct trust_policy *policy;
    struct tls_scratch *scratch;
    struct trust_verdict verdict;
    int64_t now;

    const uint8_t *in; /* the caller's records that OpenSSL has not read yet */
    size_t in_len;

    bool ended;      /* no more records will come */
    bool failed;     /* for good */
    bool open;       /* the plaintext gates; set in conclude() only */
    bool overflowed; /* the scratch was full: more was written in one turn than is sane */
    uint64_t received;
    uint64_t chatter;

    enum reason reason;
    char detail[DETAIL_SIZE];
};

/*
 * The BIO: reads from the bytes that were put, writes to the scratch. A BIO_s_mem would grow, copy
 * and never shrink, for each connection.
 */

static int bio_read(BIO *bio, char *out, size_t size, size_t *n)
{
    struct tls *t = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    *n = size < t->in_len ? size : t->in_len;
    if (*n == 0) {
        /* the end is an end only when the wire has ended; before that, there is more to come */
        if (!t->ended)
            BIO_set_retry_read(bio);
        return t->ended ? 0 : -1;
    }
    memcpy(out, t->in, *n);
    t->in += *n;
    t->in_len -= *n;
    return 1;
}

static int bio_write(BIO *bio, const char *bytes, size_t size, size_t *n)
{
    struct tls *t = BIO_get_data(bio);
    struct tls_scratch *s = t->scratch;

    BIO_clear_retry_flags(bio);
    if (s->writer != t) {
        /* what nobody took belongs to another connection: it must not go out on this one */
        s->writer = t;
        s->used = 0;
    }
    if (size > TLS_RECORDS_SIZE - s->used) {
        t->overflowed = true;
        *n = 0;
        return -1;
    }
    memcpy(s->bytes + s->used, bytes, size);
    s->used += size;
    *n = size;
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    const struct tls *t = BIO_get_data(bio);

    (void)number;
    (void)pointer;
    switch (command) {
    case BIO_CTRL_EOF:
        return t->ended && t->in_len == 0;
    case BIO_CTRL_PENDING:
        return (long)t->in_len;
    case BIO_CTRL_FLUSH:
        return 1;
    default:
        return 0;
    }
}

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "pinproxy");
    if (!method)
        return;
    BIO_meth_set_read_ex(method, bio_read);
    BIO_meth_set_write_ex(method, bio_write);
    BIO_meth_set_ctrl(method, bio_ctrl);
}

static BIO *bio_new(struct tls *t)
{
    BIO *bio;

    pthread_once(&method_once, make_method);
    bio = method ? BIO_new(method) : NULL;
    if (!bio)
        return NULL;
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    return bio;
}

/*
 * Called by OpenSSL with the presented chain, in place of its own verification. It is not evidence
 * by itself: the proof that the server holds the key comes later in the handshake, and it does not
 * run at all when a session is resumed. conclude() looks at what it leaves behind.
 */
static int verify_callback(X509_STORE_CTX *ctx, void *unused)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls *t = SSL_get_app_data(ssl);

    (void)unused;
    trust_verdict_free(&t->verdict);
    trust_judge(t->policy, X509_STORE_CTX_get0_cert(ctx), X509_STORE_CTX_get0_untrusted(ctx),
                t->now, &t->verdict);
    X509_STORE_CTX_set_error(ctx, t->verdict.x509_error);
    /* a server that is only looked at is let finish, to see it prove its key; conclude() says no */
    return t->verdict.trusted || t->verdict.reason == REASON_OBSERVED;
}

void tls_install(SSL_CTX *ctx)
{
    /* without VERIFY_PEER OpenSSL would go on after a refusal */
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, verify_callback, NULL);
}

/* Counts what the peer says after the handshake that is no plaintext. */
static void message_callback(int sent, int version, int type, const void *bytes, size_t n, SSL *ssl,
                             void *arg)
{
    struct tls *t = arg;

    (void)version;
    (void)bytes;
    (void)n;
    (void)ssl;
    if (!sent && t->open && (type == SSL3_RT_HANDSHAKE || type == SSL3_RT_ALERT))
        t->chatter++;
}

static bool set_alpn(SSL *ssl, const struct config_texts *alpn)
{
    struct strbuf list = {0};
    size_t i;
    bool ok;

    if (alpn->count == 0)
        return true;
    for (i = 0; i < alpn->count; i++) {
        char n = (char)strlen(alpn->items[i].text);

        strbuf_add_bytes(&list, &n, 1);
        strbuf_add(&list, alpn->items[i].text);
    }
    /* returns 0 for success, against the custom (SSL_set_alpn_protos(3)) */
    ok = SSL_set_alpn_protos(ssl, (const unsigned char *)list.data, (unsigned)list.len) == 0;
    strbuf_free(&list);
    return ok;
}

struct tls *tls_new(SSL_CTX *ctx, const struct config_section *section,
                    const struct trust_policy *policy, struct tls_scratch *scratch)
{
    struct tls *t = calloc(1, sizeof(*t));
    BIO *bio;

    if (!t)
        return NULL;
    t->policy = policy;
    t->scratch = scratch;
    t->reason = REASON_TLS;
    t->ssl = SSL_new(ctx);
    bio = t->ssl ? bio_new(t) : NULL;
    if (!bio)
        goto fail;
    SSL_set_bio(t->ssl, bio, bio);
    if ((section->sni && SSL_set_tlsext_host_name(t->ssl, section->sni) != 1)
        || !set_alpn(t->ssl, &section->alpn) || SSL_set_app_data(t->ssl, t) != 1)
        goto fail;
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
    if (t->scratch->writer == t)
        t->scratch->writer = NULL; /* the next one may get this address */
    SSL_free(t->ssl);
    trust_verdict_free(&t->verdict);
    free(t);
}

void tls_put_records(struct tls *t, const uint8_t *bytes, size_t n)
{
    assert(t->in_len == 0); /* whatever is left would be lost */
    t->in = bytes;
    t->in_len = n;
}

void tls_put_end(struct tls *t)
{
    t->ended = true;
}

size_t tls_take_records(struct tls *t, const uint8_t **bytes)
{
    struct tls_scratch *s = t->scratch;
    size_t n = s->writer == t ? s->used : 0;

    *bytes = s->bytes;
    s->used = 0;
    return n;
}

static enum tls_result fail(struct tls *t, enum reason reason, const char *detail)
{
    t->failed = true;
    t->open = false;
    t->reason = reason;
    snprintf(t->detail, sizeof(t->detail), "%s", detail);
    return TLS_FAILED;
}

/* A plaintext gate was tried that is not open. What went wrong before stays what is told. */
static enum tls_result shut(struct tls *t)
{
    if (!t->failed)
        snprintf(t->detail, sizeof(t->detail), "plaintext before the server was trusted");
    return TLS_FAILED;
}

/* The alert from the server that an error tells of, or -1. */
static int received_alert(unsigned long error)
{
    int reason = ERR_GET_REASON(error);

    if (ERR_GET_LIB(error) != ERR_LIB_SSL || reason < SSL_AD_REASON_OFFSET
        || reason > SSL_AD_REASON_OFFSET + 255)
        return -1;
    return reason - SSL_AD_REASON_OFFSET;
}

/* Puts OpenSSL's complaint into words. Called right after the call that failed. */
static enum tls_result fail_openssl(struct tls *t)
{
    unsigned long error = ERR_peek_error();
    int reason = ERR_GET_REASON(error);
    char text[DETAIL_SIZE];

    if (t->overflowed)
        return fail(t, REASON_TLS, "the server made us answer more than is sane");
    if (error == 0)
        return fail(t, REASON_TLS, "the connection broke off");
    if (received_alert(error) == SSL_AD_CERTIFICATE_REQUIRED)
        return fail(t, REASON_TLS, "the server wants a client certificate");
    if (received_alert(error) >= 0) {
        snprintf(text, sizeof(text), "the server refused: %s",
                 SSL_alert_desc_string_long(received_alert(error)));
        return fail(t, REASON_TLS, text);
    }
    switch (reason) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
        if (SSL_get_state(t->ssl) == TLS_ST_CW_CLNT_HELLO || SSL_get_state(t->ssl) == TLS_ST_BEFORE)
            return fail(t, REASON_TLS, "the server does not speak TLS on this port");
        break;
    case SSL_R_UNSUPPORTED_PROTOCOL:
        return fail(t, REASON_TLS, "the server speaks no TLS version that is allowed here");
    case SSL_R_EE_KEY_TOO_SMALL:
    case SSL_R_DH_KEY_TOO_SMALL:
        return fail(t, REASON_WEAK, ERR_reason_error_string(error));
    default:
        break;
    }
    return fail(t, REASON_TLS,
                ERR_reason_error_string(error) ? ERR_reason_error_string(error) : "TLS error");
}

/*
 * The one place that opens the plaintext gates. The handshake is over, so the server has proved
 * that it holds the key of the certificate that was judged; all of the following must hold as well,
 * whatever the callback returned, and whether it ran at all (it does not for resumed sessions nor
 * for anonymous suites).
 */
static enum tls_result conclude(struct tls *t)
{
    X509 *peer = SSL_get0_peer_certificate(t->ssl);

    if (!peer)
        return fail(t, REASON_TLS, "the server presented no certificate");
    if (SSL_session_reused(t->ssl))
        return fail(t, REASON_TLS, "a session was resumed that was never offered");
    if (trust_chain_length(&t->verdict) == 0 || !trust_chain_starts_with(&t->verdict, peer))
        return fail(t, REASON_TLS, "the certificate that was judged is not the server's");
    if (!t->verdict.trusted)
        return fail(t, t->verdict.reason, t->verdict.detail);
    t->open = true;
    return TLS_OK;
}

enum tls_result tls_handshake(struct tls *t, int64_t now)
{
    int ret;

    if (t->failed)
        return TLS_FAILED;
    t->now = now;
    for (;;) {
        ERR_clear_error();
        ret = SSL_connect(t->ssl);
        if (ret == 1)
            return conclude(t);
        switch (SSL_get_error(t->ssl, ret)) {
        case SSL_ERROR_WANT_READ:
            if (t->in_len == 0 && !t->ended)
                return TLS_MORE;
            if (t->in_len == 0)
                return fail(t, REASON_TLS, "the server closed the connection during the handshake");
            continue; /* a record was read, and it was not the last */
        default:
            break;
        }
        /* a refusal in the callback ends the handshake: it is the reason, not what OpenSSL says */
        if (trust_chain_length(&t->verdict) > 0 && !t->verdict.trusted)
            return fail(t, t->verdict.reason, t->verdict.detail);
        if (t->ended && t->in_len == 0 && received_alert(ERR_peek_error()) < 0)
            return fail(t, REASON_TLS, "the server closed the connection during the handshake");
        return fail_openssl(t);
    }
}

static bool is_flood(const struct tls *t)
{
    return t->chatter > CHATTER_FREE + t->received / CHATTER_PER_BYTES;
}

enum tls_result tls_read(struct tls *t, uint8_t *buf, size_t size, size_t *got)
{
    size_t n;
    int ret;

    *got = 0;
    if (!t->open)
        return shut(t);
    while (*got < size) {
        ERR_clear_error();
        ret = SSL_read_ex(t->ssl, buf + *got, size - *got, &n);
        if (ret == 1) {
            *got += n;
            t->received += n;
            continue;
        }
        switch (SSL_get_error(t->ssl, 0)) {
        case SSL_ERROR_WANT_READ:
            if (is_flood(t))
                return fail(t, REASON_TLS, "a flood of TLS messages without data");
            if (t->in_len > 0)
                continue; /* that was a record without plaintext */
            return t->ended ? TLS_TRUNCATED : TLS_MORE;
        case SSL_ERROR_ZERO_RETURN:
            return TLS_FINISHED;
        default:
            if (t->ended && t->in_len == 0
                && ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
                return TLS_TRUNCATED;
            return fail_openssl(t);
        }
    }
    return TLS_OK;
}

enum tls_result tls_write(struct tls *t, const uint8_t *bytes, size_t n)
{
    size_t written;

    if (!t->open)
        return shut(t);
    if (n == 0)
        return TLS_OK;
    ERR_clear_error();
    /* the scratch takes a whole turn, so a write is never partial */
    if (SSL_write_ex(t->ssl, bytes, n, &written) != 1)
        return fail_openssl(t);
    return TLS_OK;
}

void tls_finish(struct tls *t)
{
    /* SSL_shutdown() in a handshake, or after a fatal error, only poisons the error queue */
    if (!t->open)
        return;
    ERR_clear_error();
    (void)SSL_shutdown(t->ssl); /* 0: sent, the peer's is still to come */
    ERR_clear_error();
}

enum reason tls_failure(const struct tls *t, const char **detail)
{
    *detail = t->detail;
    return t->reason;
}

const struct trust_verdict *tls_verdict(const struct tls *t)
{
    return &t->verdict;
}

const char *tls_version(const struct tls *t)
{
    return SSL_get_version(t->ssl);
}

const char *tls_cipher(const struct tls *t)
{
    return SSL_get_cipher_name(t->ssl);
}

const char *tls_library(void)
{
    return OpenSSL_version(OPENSSL_VERSION);
}
