#include "channel.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "config/loader.h"
#include "help.h"
#include "tls/sessioncache.h"
#include "tls/tlsctx.h"
#include "trust/anchors.h"

struct channel_certs channel_certs;
struct tlsctx_set *channel_contexts;
struct anchors *channel_anchors;

const int channel_versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
const size_t channel_chunks[] = {CHUNK_ALL, 1, 5, CHUNK_RANDOM};

int channel_group_setup(void **state)
{
    (void)state;
    channel_certs.pinned = certs_leaf("DNS:api.example.com", NULL);
    channel_certs.other = certs_leaf("DNS:api.example.com", NULL);
    channel_certs.root = certs_ca("root");
    channel_certs.weak = certs_make(&(struct cert_order){.cn = "weak", .key = certs_rsa_key(1024)});
    channel_contexts = tlsctx_set_new();
    channel_anchors = anchors_new();
    return 0;
}

int channel_group_teardown(void **state)
{
    (void)state;
    tlsctx_set_free(channel_contexts);
    anchors_free(channel_anchors);
    return 0;
}

static unsigned psk_server(SSL *ssl, const char *identity, unsigned char *psk, unsigned most)
{
    (void)ssl;
    (void)identity;
    memset(psk, 7, most < 16 ? most : 16);
    return most < 16 ? most : 16;
}

static unsigned psk_client(SSL *ssl, const char *hint, char *identity, unsigned identity_most,
                           unsigned char *psk, unsigned most)
{
    (void)hint;
    snprintf(identity, identity_most, "client");
    return psk_server(ssl, identity, psk, most);
}

/* What no setting can make of a context of tlsctx.c. */
static SSL_CTX *lax_context(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    assert_non_null(ctx);
    SSL_CTX_set_security_level(ctx, 0);
    assert_int_equal(SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION), 1);
    assert_int_equal(SSL_CTX_set_cipher_list(ctx, "aNULL:PSK:@SECLEVEL=0"), 1);
    SSL_CTX_set_psk_client_callback(ctx, psk_client);
    tls_install(ctx);
    return ctx;
}

/* As libraries with CVE-2024-12797 treat a raw key: what the callback returns has no effect. */
static SSL_CTX *heedless_context(const struct config_section *section, struct diag_list *diags)
{
    struct tlsctx_set *set = tlsctx_set_new();
    SSL_CTX *ctx = tlsctx_get(set, section, diags);

    assert_non_null(ctx);
    assert_int_equal(SSL_CTX_up_ref(ctx), 1);
    tlsctx_set_free(set);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
    return ctx;
}

/*
 * A server of version 3.2 and later, which sends a raw public key to clients that ask for it, and
 * else the certificate of another key.
 */
static void use_raw_key(SSL_CTX *server, EVP_PKEY *key)
{
#ifdef TLSEXT_cert_type_rpk
    static const unsigned char types[] = {TLSEXT_cert_type_rpk};

    assert_int_equal(SSL_CTX_set1_server_cert_type(server, types, 1), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(server, key), 1);
#else
    (void)server;
    (void)key;
    fail_msg("this library has no raw public keys");
#endif
}

/* shared: a thread that the test frees; NULL: the channel has one of its own */
struct channel *channel_new(const struct channel_setup *setup, struct tls_thread *shared)
{
    struct channel *w = calloc(1, sizeof(*w));
    const struct cert *c = setup->server ? setup->server : &channel_certs.pinned;
    struct diag_list diags = {0};
    char text[1024];
    SSL_CTX *ctx;

    assert_non_null(w);
    w->setup = *setup;
    w->seed = 99;
    snprintf(text, sizeof(text), "[api.example.com]\n%s%s\n%s\n", setup->unpinned ? "" : "pin = ",
             setup->unpinned ? "" : certs_key_pin(&channel_certs.pinned),
             setup->keys ? setup->keys : "");
    w->config = config_parse("x.conf", text, strlen(text), &diags);
    if (diags.count)
        fail_msg("%s", diags.items[0].text);
    w->policy = setup->probe_only
                    ? policy_new_probe(w->config->sections[0])
                    : policy_new(w->config->sections[0], channel_anchors, setup->learned, &diags);
    if (setup->lax)
        ctx = lax_context();
    else if (setup->heedless)
        ctx = heedless_context(w->config->sections[0], &diags);
    else
        ctx = tlsctx_get(channel_contexts, w->config->sections[0], &diags);
    assert_non_null(w->policy);
    assert_non_null(ctx);
    assert_true(tls_thread_init(&w->own));
    w->thread = shared ? shared : &w->own;
    if (setup->sessions) {
        sessioncache_free(w->own.sessions);
        w->own.sessions = setup->sessions;
    }
    w->tls = tls_new(ctx, w->policy, w->thread, setup->sessions != NULL);
    assert_non_null(w->tls);
    if (setup->lax || setup->heedless)
        SSL_CTX_free(ctx); /* the connection has its own reference */

    w->server_ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_security_level(w->server_ctx, 0);
    SSL_CTX_set_dh_auto(w->server_ctx, 1);
    if (setup->version) {
        SSL_CTX_set_min_proto_version(w->server_ctx, setup->version);
        SSL_CTX_set_max_proto_version(w->server_ctx, setup->version);
    }
    if (setup->ciphers)
        assert_int_equal(SSL_CTX_set_cipher_list(w->server_ctx, setup->ciphers), 1);
    if (setup->raw_key)
        use_raw_key(w->server_ctx, c->key);
    else if (setup->psk)
        SSL_CTX_set_psk_server_callback(w->server_ctx, psk_server);
    else
        assert_true(SSL_CTX_use_certificate(w->server_ctx, c->x509) == 1
                    && SSL_CTX_use_PrivateKey(w->server_ctx, c->key) == 1);
    if (setup->prepare)
        setup->prepare(w->server_ctx);
    w->server = SSL_new(w->server_ctx);
    w->to_server = BIO_new(BIO_s_mem());
    w->from_server = BIO_new(BIO_s_mem());
    SSL_set_bio(w->server, w->to_server, w->from_server);
    SSL_set_accept_state(w->server);
    w->result = TLS_WANT_READ;
    return w;
}

void channel_free(struct channel *w)
{
    tls_free(w->tls);
    policy_free(w->policy);
    config_free(w->config);
    if (w->setup.sessions)
        w->own.sessions = NULL;
    tls_thread_free(&w->own);
    SSL_free(w->server);
    SSL_CTX_free(w->server_ctx);
    free(w);
    ERR_clear_error();
}

/* The engine's records to the server, which reads what it can. */
void channel_carry(struct channel *w)
{
    const uint8_t *bytes;
    size_t n = tls_take_records(w->tls, &bytes);
    int got;

    w->sent += n;
    if (n)
        assert_int_equal(BIO_write(w->to_server, bytes, (int)n), n);
    do {
        ERR_clear_error();
        got = SSL_read(w->server, w->seen + w->seen_len, (int)(sizeof(w->seen) - w->seen_len));
        if (got > 0)
            w->seen_len += (size_t)got;
    } while (got > 0);
}

/* Lets the engine use up what it was given, or the end. */
void channel_turn(struct channel *w)
{
    size_t n;

    if (w->result != TLS_WANT_READ && w->result != TLS_OK)
        return;
    if (!w->open) {
        /* as long as it has not said OK, nothing goes in or comes out */
        w->result = tls_handshake(w->tls, w->setup.now ? w->setup.now : CERTS_NOW);
        channel_carry(w);
        if (w->result != TLS_OK) {
            assert_int_equal(w->seen_len, 0);
            return;
        }
        w->open = true;
    }
    do {
        w->result = tls_read(w->tls, w->got + w->got_len, sizeof(w->got) - w->got_len, &n);
        w->got_len += n;
        channel_carry(w);
    } while (w->result == TLS_OK);
}

void channel_put(struct channel *w, const void *bytes, size_t n)
{
    /* of the exact size, so that a sanitizer sees one byte too far */
    uint8_t *copy = malloc(n ? n : 1);

    assert_non_null(copy);
    memcpy(copy, bytes, n);
    tls_put_records(w->tls, copy, n);
    channel_turn(w);
    /* contract: used up, or failed; what it was given goes away now */
    if (w->result == TLS_WANT_READ)
        tls_put_records(w->tls, NULL, 0);
    free(copy);
}

bool channel_is_over(const struct channel *w)
{
    return w->result != TLS_WANT_READ && w->result != TLS_OK;
}

/* What the server has to say, in pieces. */
void channel_pump(struct channel *w)
{
    uint8_t bytes[1 << 16];
    size_t n;
    int got;

    while (!channel_is_over(w) && BIO_ctrl_pending(w->from_server) > 0) {
        n = w->setup.chunk == CHUNK_ALL      ? sizeof(bytes)
            : w->setup.chunk == CHUNK_RANDOM ? 1 + random_next(&w->seed) % 900
                                             : w->setup.chunk;
        got = BIO_read(w->from_server, bytes, (int)n);
        assert_true(got > 0);
        channel_put(w, bytes, (size_t)got);
    }
}

void channel_start(struct channel *w)
{
    channel_turn(w);
    channel_pump(w);
}

struct channel *channel_open(const struct channel_setup *setup)
{
    struct channel *w = channel_new(setup, NULL);
    const char *detail;

    channel_start(w);
    if (!w->open) {
        tls_failure(w->tls, &detail);
        fail_msg("not open: %s", detail);
    }
    assert_int_equal(w->result, TLS_WANT_READ);
    assert_true(SSL_is_init_finished(w->server));
    return w;
}

void channel_expect_failure(struct channel *w, enum reason reason, const char *part)
{
    const char *detail;

    assert_int_equal(w->result, TLS_FAILED);
    assert_string_equal(reason_name(tls_failure(w->tls, &detail)), reason_name(reason));
    assert_contains(detail, part);
}

/* Nothing gets through a connection that has failed. */
void channel_expect_shut(struct channel *w)
{
    static const uint8_t secret[] = "GET /secret";
    const uint8_t *bytes;
    uint8_t buf[64];
    size_t n = 77, before = w->seen_len;

    (void)tls_take_records(w->tls, &bytes);
    assert_int_equal(tls_write(w->tls, secret, sizeof(secret)), TLS_FAILED);
    assert_int_equal(tls_take_records(w->tls, &bytes), 0);
    assert_int_equal(tls_read(w->tls, buf, sizeof(buf), &n), TLS_FAILED);
    assert_int_equal(n, 0);
    assert_int_equal(tls_take_records(w->tls, &bytes), 0);
    /* after the handshake it may still send close_notify, which is no more than an alert */
    tls_close_notify(w->tls);
    n = tls_take_records(w->tls, &bytes);
    assert_true(n <= 31);
    BIO_write(w->to_server, bytes, (int)n);
    channel_carry(w);
    assert_int_equal(w->seen_len, before);
    assert_true(n == 0 || SSL_get_shutdown(w->server) & SSL_RECEIVED_SHUTDOWN);
}

/* Shut as well, but not for good: neither gate moves a byte, and no reason is forgotten. */
void channel_expect_waiting(struct channel *w)
{
    const uint8_t *bytes;
    uint8_t buf[64];
    size_t n = 77;

    assert_int_equal(w->result, TLS_FIRST_USE);
    assert_int_equal(tls_write(w->tls, (const uint8_t *)"secret", 6), TLS_FAILED);
    assert_int_equal(tls_read(w->tls, buf, sizeof(buf), &n), TLS_FAILED);
    assert_int_equal(n, 0);
    assert_int_equal(tls_take_records(w->tls, &bytes), 0);
    assert_int_equal(w->seen_len, 0);
}
