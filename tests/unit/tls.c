/*
 * tls/tls against an OpenSSL server, in memory. The plaintext gates stay shut until this server
 * has been trusted, whatever comes in, and however it is cut into pieces.
 */
#include "tls/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "certs.h"
#include "config/loader.h"
#include "help.h"
#include "learning.h"
#include "tls/certcache.h"
#include "tls/certmsg.h"
#include "tls/session.h"
#include "tls/tlsctx.h"
#include "tls/tlsthread.h"
#include "trust/anchors.h"
#include "trust/peerchain.h"

#define CHUNK_ALL 0
#define CHUNK_RANDOM SIZE_MAX

static struct cert pinned, other, weak, root;
static struct tlsctx_set *contexts;
static struct anchors *stores;

/* What a test wants of the two sides. */
struct scene {
    const char *keys;          /* further lines of the section */
    const struct cert *server; /* NULL: the pinned one */
    int version;               /* of the server; 0: any */
    const char *ciphers;       /* of the server, with SECLEVEL=0 */
    size_t chunk;
    bool psk; /* the server and its ciphers know a shared key only */
    bool observe;
    bool careless; /* the client's context offers anonymous and shared-key suites */
    bool unpinned; /* the section has no pin */
    int64_t now;   /* 0: CERTS_NOW */
    struct learned *learned;
    struct session_cache *sessions;
    void (*prepare)(SSL_CTX *server);
};

/* An engine, the server it talks to, and what goes between them. */
struct channel {
    struct config *config;
    struct policy *policy;
    struct tls_thread own, *thread;
    struct tls *tls;
    SSL_CTX *server_ctx;
    SSL *server;
    BIO *to_server, *from_server;
    struct scene scene;
    uint32_t seed;
    enum tls_result result; /* the last */
    bool open;
    uint8_t got[1 << 17]; /* plaintext at the client */
    size_t got_len;
    uint8_t seen[1 << 17]; /* plaintext at the server */
    size_t seen_len;
    uint64_t sent; /* bytes of records that came out of the engine */
};

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
static SSL_CTX *careless_context(void)
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

/* shared: a thread that the test frees; NULL: the channel has one of its own */
static struct channel *channel_new(const struct scene *scene, struct tls_thread *shared)
{
    struct channel *w = calloc(1, sizeof(*w));
    const struct cert *c = scene->server ? scene->server : &pinned;
    struct diag_list diags = {0};
    char text[1024];
    SSL_CTX *ctx;

    assert_non_null(w);
    w->scene = *scene;
    w->seed = 99;
    snprintf(text, sizeof(text), "[api.example.com]\n%s%s\n%s\n",
             scene->unpinned ? "" : "pin = ", scene->unpinned ? "" : certs_key_pin(&pinned),
             scene->keys ? scene->keys : "");
    w->config = config_parse("x.conf", text, strlen(text), &diags);
    if (diags.count)
        fail_msg("%s", diags.items[0].text);
    w->policy = scene->observe ? policy_new_probe(w->config->sections[0])
                               : policy_new(w->config->sections[0], stores, scene->learned, &diags);
    ctx = scene->careless ? careless_context()
                          : tlsctx_get(contexts, &w->config->sections[0]->tls, &diags);
    assert_non_null(w->policy);
    assert_non_null(ctx);
    assert_true(tls_thread_init(&w->own));
    w->thread = shared ? shared : &w->own;
    if (scene->sessions) {
        session_cache_free(w->own.sessions);
        w->own.sessions = scene->sessions;
    }
    w->tls = tls_new(ctx, w->policy, w->thread, scene->sessions != NULL);
    assert_non_null(w->tls);
    if (scene->careless)
        SSL_CTX_free(ctx); /* the connection has its own reference */

    w->server_ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_security_level(w->server_ctx, 0);
    SSL_CTX_set_dh_auto(w->server_ctx, 1);
    if (scene->version) {
        SSL_CTX_set_min_proto_version(w->server_ctx, scene->version);
        SSL_CTX_set_max_proto_version(w->server_ctx, scene->version);
    }
    if (scene->ciphers)
        assert_int_equal(SSL_CTX_set_cipher_list(w->server_ctx, scene->ciphers), 1);
    if (scene->psk)
        SSL_CTX_set_psk_server_callback(w->server_ctx, psk_server);
    else
        assert_true(SSL_CTX_use_certificate(w->server_ctx, c->x509) == 1
                    && SSL_CTX_use_PrivateKey(w->server_ctx, c->key) == 1);
    if (scene->prepare)
        scene->prepare(w->server_ctx);
    w->server = SSL_new(w->server_ctx);
    w->to_server = BIO_new(BIO_s_mem());
    w->from_server = BIO_new(BIO_s_mem());
    SSL_set_bio(w->server, w->to_server, w->from_server);
    SSL_set_accept_state(w->server);
    w->result = TLS_WANT_READ;
    return w;
}

static void channel_free(struct channel *w)
{
    tls_free(w->tls);
    policy_free(w->policy);
    config_free(w->config);
    if (w->scene.sessions)
        w->own.sessions = NULL;
    tls_thread_free(&w->own);
    SSL_free(w->server);
    SSL_CTX_free(w->server_ctx);
    free(w);
    ERR_clear_error();
}

/* The engine's records to the server, which reads what it can. */
static void carry(struct channel *w)
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
static void turn(struct channel *w)
{
    size_t n;

    if (w->result != TLS_WANT_READ && w->result != TLS_OK)
        return;
    if (!w->open) {
        /* as long as it has not said OK, nothing goes in or comes out */
        w->result = tls_handshake(w->tls, w->scene.now ? w->scene.now : CERTS_NOW);
        carry(w);
        if (w->result != TLS_OK) {
            assert_int_equal(w->seen_len, 0);
            return;
        }
        w->open = true;
    }
    do {
        w->result = tls_read(w->tls, w->got + w->got_len, sizeof(w->got) - w->got_len, &n);
        w->got_len += n;
        carry(w);
    } while (w->result == TLS_OK);
}

static void put(struct channel *w, const void *bytes, size_t n)
{
    /* of the exact size, so that a sanitizer sees one byte too far */
    uint8_t *copy = malloc(n ? n : 1);

    assert_non_null(copy);
    memcpy(copy, bytes, n);
    tls_put_records(w->tls, copy, n);
    turn(w);
    /* contract: used up, or failed; what it was given goes away now */
    if (w->result == TLS_WANT_READ)
        tls_put_records(w->tls, NULL, 0);
    free(copy);
}

static bool is_over(const struct channel *w)
{
    return w->result != TLS_WANT_READ && w->result != TLS_OK;
}

/* What the server has to say, in pieces. */
static void pump(struct channel *w)
{
    uint8_t bytes[1 << 16];
    size_t n;
    int got;

    while (!is_over(w) && BIO_ctrl_pending(w->from_server) > 0) {
        n = w->scene.chunk == CHUNK_ALL      ? sizeof(bytes)
            : w->scene.chunk == CHUNK_RANDOM ? 1 + random_next(&w->seed) % 900
                                             : w->scene.chunk;
        got = BIO_read(w->from_server, bytes, (int)n);
        assert_true(got > 0);
        put(w, bytes, (size_t)got);
    }
}

static void start(struct channel *w)
{
    turn(w);
    pump(w);
}

static struct channel *opened(const struct scene *scene)
{
    struct channel *w = channel_new(scene, NULL);
    const char *detail;

    start(w);
    if (!w->open) {
        tls_failure(w->tls, &detail);
        fail_msg("not open: %s", detail);
    }
    assert_int_equal(w->result, TLS_WANT_READ);
    assert_true(SSL_is_init_finished(w->server));
    return w;
}

static void expect_failure(struct channel *w, enum reason reason, const char *part)
{
    const char *detail;

    assert_int_equal(w->result, TLS_FAILED);
    assert_string_equal(reason_name(tls_failure(w->tls, &detail)), reason_name(reason));
    assert_contains(detail, part);
}

/* Nothing gets through a connection that has failed. */
static void expect_shut(struct channel *w)
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
    carry(w);
    assert_int_equal(w->seen_len, before);
    assert_true(n == 0 || SSL_get_shutdown(w->server) & SSL_RECEIVED_SHUTDOWN);
}

/* Shut as well, but not for good: neither gate moves a byte, and no reason is forgotten. */
static void expect_waiting(struct channel *w)
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

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
static const size_t chunks[] = {CHUNK_ALL, 1, 5, CHUNK_RANDOM};

static void bytes_pass_both_ways_however_they_are_cut(void **state)
{
    static uint8_t data[100000];
    size_t v, c, i;

    (void)state;
    for (i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 31 + i / 251);
    for (v = 0; v < COUNT(versions); v++) {
        for (c = 0; c < COUNT(chunks); c++) {
            struct channel *w = opened(&(struct scene){.version = versions[v], .chunk = chunks[c]});

            assert_string_equal(tls_version(w->tls), v ? "TLSv1.3" : "TLSv1.2");
            assert_non_null(tls_cipher(w->tls));
            assert_true(tls_verdict(w->tls)->trusted);
            assert_int_equal(tls_write(w->tls, data, sizeof(data)), TLS_OK);
            carry(w);
            assert_int_equal(w->seen_len, sizeof(data));
            assert_memory_equal(w->seen, data, sizeof(data));
            assert_int_equal(SSL_write(w->server, data, sizeof(data)), sizeof(data));
            pump(w);
            assert_int_equal(w->got_len, sizeof(data));
            assert_memory_equal(w->got, data, sizeof(data));
            /* nothing to write writes nothing */
            i = w->sent;
            assert_int_equal(tls_write(w->tls, data, 0), TLS_OK);
            carry(w);
            assert_int_equal(w->sent, i);
            channel_free(w);
        }
    }
}

static void a_whole_turn_fits(void **state)
{
    uint8_t *data = calloc(1, TLS_TURN_SIZE);
    struct channel *w = opened(&(struct scene){0});
    const uint8_t *bytes;

    (void)state;
    assert_non_null(data);
    assert_int_equal(tls_write(w->tls, data, TLS_TURN_SIZE), TLS_OK);
    assert_true(tls_take_records(w->tls, &bytes) > TLS_TURN_SIZE);
    free(data);
    channel_free(w);
}

/* The turns of a tunnel: as much each way as there is room for. */
static void a_megabyte_goes_each_way_in_whole_turns(void **state)
{
    const size_t size = 1 << 20;
    uint8_t *data = malloc(size), *got = malloc(size), *buf = malloc(TLS_PLAINTEXT_SIZE);
    uint32_t seed = 7;
    const uint8_t *bytes;
    size_t v, i, n, done;
    int moved;

    (void)state;
    assert_true(data && got && buf);
    for (i = 0; i < size; i++)
        data[i] = (uint8_t)random_next(&seed);
    for (v = 0; v < COUNT(versions); v++) {
        struct channel *w = opened(&(struct scene){.version = versions[v]});

        for (i = done = 0; i < size; i += n) {
            n = size - i < TLS_TURN_SIZE ? size - i : TLS_TURN_SIZE;
            assert_int_equal(tls_write(w->tls, data + i, n), TLS_OK);
            moved = (int)tls_take_records(w->tls, &bytes);
            assert_true((size_t)moved > n && (size_t)moved <= TLS_RECORDS_SIZE);
            assert_int_equal(BIO_write(w->to_server, bytes, moved), moved);
            while ((moved = SSL_read(w->server, got + done, (int)(size - done))) > 0)
                done += (size_t)moved;
        }
        assert_int_equal(done, size);
        assert_memory_equal(got, data, size);

        memset(got, 0, size);
        assert_int_equal(SSL_write(w->server, data, (int)size), size);
        for (done = 0; BIO_ctrl_pending(w->from_server) > 0;) {
            moved = BIO_read(w->from_server, buf, (int)TLS_TURN_SIZE);
            assert_true(moved > 0);
            uint8_t *copy = malloc((size_t)moved);
            assert_non_null(copy);
            memcpy(copy, buf, (size_t)moved);
            tls_put_records(w->tls, copy, (size_t)moved);
            /* all of it, at once: the caller's memory is free again */
            assert_int_equal(tls_read(w->tls, buf, TLS_PLAINTEXT_SIZE, &n), TLS_WANT_READ);
            assert_int_equal(tls_take_records(w->tls, &bytes), 0);
            free(copy);
            assert_true(n <= size - done);
            memcpy(got + done, buf, n);
            done += n;
        }
        assert_int_equal(done, size);
        assert_memory_equal(got, data, size);
        channel_free(w);
    }
    free(data);
    free(got);
    free(buf);
}

/* A caller that never takes the records gets an error, not a bigger buffer. */
static void records_that_nobody_takes_do_not_pile_up(void **state)
{
    uint8_t *data = calloc(1, TLS_TURN_SIZE);
    struct channel *w = opened(&(struct scene){0});

    (void)state;
    assert_non_null(data);
    assert_int_equal(tls_write(w->tls, data, TLS_TURN_SIZE), TLS_OK);
    w->result = tls_write(w->tls, data, TLS_TURN_SIZE);
    expect_failure(w, REASON_TLS, "more than is sane");
    expect_shut(w);
    free(data);
    channel_free(w);
}

static void gates_are_shut_before_trust(void **state)
{
    static const uint8_t secret[] = "GET /secret";
    size_t v, when;

    (void)state;
    /* at each point of the handshake, one byte after the other */
    for (v = 0; v < COUNT(versions); v++) {
        for (when = 0; when < 1500; when += 53) {
            struct channel *w = channel_new(&(struct scene){.version = versions[v], .chunk = 1},
                                            NULL);
            uint8_t byte, buf[64];
            const uint8_t *bytes;
            size_t n, i;

            turn(w);
            for (i = 0; i < when && !w->open && !is_over(w); i++) {
                if (BIO_read(w->from_server, &byte, 1) != 1)
                    break;
                put(w, &byte, 1);
            }
            if (w->open) {
                channel_free(w);
                break;
            }
            assert_int_equal(tls_take_records(w->tls, &bytes), 0);
            if (when % 2)
                assert_int_equal(tls_write(w->tls, secret, sizeof(secret)), TLS_FAILED);
            else
                assert_int_equal(tls_read(w->tls, buf, sizeof(buf), &n), TLS_FAILED);
            assert_int_equal(tls_take_records(w->tls, &bytes), 0);
            assert_int_equal(w->seen_len, 0);
            tls_close_notify(w->tls);
            assert_int_equal(tls_take_records(w->tls, &bytes), 0);
            channel_free(w);
        }
        assert_true(when > 100); /* or the handshake was over at once */
    }
}

/* OpenSSL would start the handshake by itself, and with early data say more than hello. */
static void gates_are_shut_before_the_handshake_starts(void **state)
{
    struct channel *w = channel_new(&(struct scene){0}, NULL);

    (void)state;
    expect_shut(w);
    channel_free(w);
}

static void another_key_is_refused_and_the_server_is_told(void **state)
{
    size_t v, c;

    (void)state;
    for (v = 0; v < COUNT(versions); v++) {
        for (c = 0; c < COUNT(chunks); c++) {
            struct channel *w = channel_new(
                &(struct scene){.version = versions[v], .chunk = chunks[c], .server = &other},
                NULL);

            turn(w);
            assert_int_equal(w->result, TLS_WANT_READ);
            pump(w);
            expect_failure(w, REASON_PIN_MISMATCH, "");
            assert_false(w->open);
            /* an alert came out of the failed call: the server's log says why */
            assert_true(SSL_get_shutdown(w->server) & SSL_RECEIVED_SHUTDOWN);
            assert_false(SSL_is_init_finished(w->server));
            expect_shut(w);
            assert_int_equal(peerchain_length(tls_verdict(w->tls)), 1);
            channel_free(w);
        }
    }
}

static void a_refusal_keeps_its_own_reason(void **state)
{
    static const struct {
        const char *keys;
        enum reason reason;
    } rows[] = {
        {"also_check = name\nverify_name = x.example", REASON_NAME},
        {"verify = pin+pki\nca_file = other.pem", REASON_PKI},
    };
    struct channel *w;
    char text[256];
    size_t i;

    (void)state;
    temp_text("other.pem", certs_pem(other.x509));
    for (i = 0; i < COUNT(rows); i++) {
        snprintf(text, sizeof(text), "%s", rows[i].keys);
        if (strstr(text, "other.pem"))
            snprintf(text, sizeof(text), "verify = pin+pki\nca_file = %s", temp_path("other.pem"));
        w = channel_new(&(struct scene){.keys = text}, NULL);
        start(w);
        expect_failure(w, rows[i].reason, "");
        expect_shut(w);
        channel_free(w);
    }
    /* the key is pinned, and yet too weak */
    for (i = 0; i < COUNT(versions); i++) {
        snprintf(text, sizeof(text), "pin = %s", certs_key_pin(&weak));
        w = channel_new(&(struct scene){.keys = text, .server = &weak, .version = versions[i]},
                        NULL);
        start(w);
        expect_failure(w, REASON_WEAK, "1024 bits");
        expect_shut(w);
        channel_free(w);
    }
}

/*
 * Trust without the key: the certificate is public, anyone can present it. The man in the middle
 * signs with a key of his own, which a verdict about the certificate alone does not see.
 */
static void a_certificate_without_its_key_is_refused(void **state)
{
    const unsigned char *right, *wrong;
    const size_t n = certs_der(pinned.x509, &right);
    struct cert impostor;
    uint8_t bytes[1 << 14], *at;
    struct channel *w;
    int got, tries;

    (void)state;
    /* of the same length, to be put in its place: signatures vary by a byte or two */
    for (tries = 0; tries < 1000; tries++) {
        impostor = certs_leaf("DNS:api.example.com", NULL);
        if (certs_der(impostor.x509, &wrong) == n)
            break;
    }
    w = channel_new(&(struct scene){.server = &impostor, .version = TLS1_2_VERSION}, NULL);
    turn(w);
    got = BIO_read(w->from_server, bytes, sizeof(bytes));
    assert_true(got > 0);
    at = memmem(bytes, (size_t)got, wrong, n);
    assert_non_null(at);
    memcpy(at, right, n);
    put(w, bytes, (size_t)got);
    /* judged and found to be the pinned one: that is not enough */
    assert_true(tls_verdict(w->tls)->trusted);
    assert_false(w->open);
    expect_failure(w, REASON_TLS, "signature");
    expect_shut(w);
    /* nor does it leave anything in what the thread's connections share */
    assert_int_equal(certcache_count(w->thread->certs), 0);
    channel_free(w);
}

static void send_the_ca(SSL_CTX *server)
{
    assert_int_equal(SSL_CTX_add1_chain_cert(server, root.x509), 1);
    assert_int_equal(SSL_CTX_add1_chain_cert(server, other.x509), 1);
}

/* What else a server sends along is not kept for others. */
static void only_what_the_verdict_rests_on_is_shared(void **state)
{
    const struct cert leaf = certs_leaf("DNS:api.example.com", &root);
    char keys[256];
    struct scene scenes[] = {
        {.prepare = send_the_ca},
        {.prepare = send_the_ca, .server = &leaf, .unpinned = true, .keys = keys},
    };
    size_t i, v;

    (void)state;
    snprintf(keys, sizeof(keys), "pin = issuer:%s", certs_key_pin(&root));
    for (v = 0; v < COUNT(versions); v++) {
        for (i = 0; i < COUNT(scenes); i++) {
            struct channel *w;

            scenes[i].version = versions[v];
            w = opened(&scenes[i]);
            assert_int_equal(peerchain_length(tls_verdict(w->tls)), 3);
            assert_int_equal(certcache_count(w->thread->certs),
                             1 + i); /* the server's own, and its CA */
            channel_free(w);
        }
    }
}

static void a_flight_with_one_bit_changed_opens_nothing(void **state)
{
    size_t v;

    (void)state;
    for (v = 0; v < COUNT(versions); v++) {
        struct channel *w = channel_new(
            &(struct scene){.version = versions[v], .chunk = CHUNK_RANDOM}, NULL);
        uint8_t bytes[1 << 14];
        int n, i;

        /* each record of the server's flight with one bit changed: never does it open */
        turn(w);
        n = BIO_read(w->from_server, bytes, sizeof(bytes));
        assert_true(n > 500);
        channel_free(w);
        for (i = 0; i < 60; i++) {
            uint32_t seed = (uint32_t)i + 1;

            w = channel_new(&(struct scene){.version = versions[v]}, NULL);
            turn(w);
            n = BIO_read(w->from_server, bytes, sizeof(bytes));
            /* inside of the records, so that they are read; over all of the flight */
            bytes[((unsigned)n - 1) * (unsigned)i / 60] ^= (uint8_t)(1U << random_next(&seed) % 8);
            put(w, bytes, (size_t)n);
            pump(w);
            assert_false(w->open);
            if (!is_over(w)) {
                tls_put_end(w->tls);
                turn(w);
            }
            assert_int_equal(w->result, TLS_FAILED);
            expect_shut(w);
            channel_free(w);
        }
    }
}

static void the_last_flight_and_the_first_data_in_one_read_are_both_taken(void **state)
{
    struct channel *w = channel_new(&(struct scene){.version = TLS1_3_VERSION}, NULL);
    uint8_t bytes[1 << 14];
    const uint8_t *out;
    size_t sent;
    int n;

    (void)state;
    /* a TLS 1.3 server may write before it has heard the client's Finished */
    assert_int_equal(tls_handshake(w->tls, CERTS_NOW), TLS_WANT_READ);
    sent = tls_take_records(w->tls, &out);
    BIO_write(w->to_server, out, (int)sent);
    /* with no early data to read, this sends the server's whole flight */
    SSL_set_max_early_data(w->server, 1000);
    assert_int_equal(SSL_read_early_data(w->server, w->seen, sizeof(w->seen), &sent),
                     SSL_READ_EARLY_DATA_FINISH);
    assert_int_equal(SSL_write_early_data(w->server, "220 hello\r\n", 11, &sent), 1);
    n = BIO_read(w->from_server, bytes, sizeof(bytes));
    put(w, bytes, (size_t)n);
    assert_true(w->open);
    assert_int_equal(w->result, TLS_WANT_READ);
    assert_int_equal(w->got_len, 11);
    assert_memory_equal(w->got, "220 hello\r\n", 11);
    channel_free(w);

    /* TLS 1.2: the server's Finished and its greeting at once */
    w = channel_new(&(struct scene){.version = TLS1_2_VERSION}, NULL);
    turn(w);
    n = BIO_read(w->from_server, bytes, sizeof(bytes));
    tls_put_records(w->tls, bytes, (size_t)n);
    assert_int_equal(tls_handshake(w->tls, CERTS_NOW), TLS_WANT_READ);
    sent = tls_take_records(w->tls, &out);
    BIO_write(w->to_server, out, (int)sent);
    assert_int_equal(SSL_accept(w->server), 1);
    assert_int_equal(SSL_write(w->server, "220 hello\r\n", 11), 11);
    n = BIO_read(w->from_server, bytes, sizeof(bytes));
    put(w, bytes, (size_t)n);
    assert_true(w->open);
    assert_int_equal(w->got_len, 11);
    assert_memory_equal(w->got, "220 hello\r\n", 11);
    channel_free(w);
}

static void a_clean_end_is_told_from_a_truncated_one(void **state)
{
    size_t v;

    (void)state;
    for (v = 0; v < COUNT(versions); v++) {
        struct channel *w = opened(&(struct scene){.version = versions[v], .chunk = 1});

        SSL_write(w->server, "last", 4);
        SSL_shutdown(w->server);
        pump(w);
        assert_int_equal(w->result, TLS_CLOSED);
        assert_int_equal(w->got_len, 4);
        /* the other direction goes on */
        assert_int_equal(tls_write(w->tls, (const uint8_t *)"more", 4), TLS_OK);
        carry(w);
        tls_close_notify(w->tls);
        carry(w);
        assert_true(SSL_get_shutdown(w->server) & SSL_RECEIVED_SHUTDOWN);
        channel_free(w);

        w = opened(&(struct scene){.version = versions[v]});
        SSL_write(w->server, "last", 4);
        pump(w);
        assert_int_equal(w->got_len, 4);
        tls_put_end(w->tls);
        turn(w);
        assert_int_equal(w->result, TLS_TRUNCATED);
        channel_free(w);
    }
}

/* Half a record and the end: what was whole is delivered, the rest never is. */
static void an_end_inside_of_a_record_is_a_truncation(void **state)
{
    struct channel *w = opened(&(struct scene){0});
    uint8_t bytes[4096];
    int n;

    (void)state;
    SSL_write(w->server, "whole", 5);
    SSL_write(w->server, "halved", 6);
    n = BIO_read(w->from_server, bytes, sizeof(bytes));
    tls_put_end(w->tls);
    put(w, bytes, (size_t)n - 3);
    assert_int_equal(w->result, TLS_TRUNCATED);
    assert_int_equal(w->got_len, 5);
    channel_free(w);
}

static void what_follows_close_notify_is_not_read(void **state)
{
    size_t v, n;

    (void)state;
    for (v = 0; v < COUNT(versions); v++) {
        struct channel *w = opened(&(struct scene){.version = versions[v]});
        uint8_t bytes[4096], late[4096], buf[64];
        int got, after;

        SSL_write(w->server, "late", 4);
        after = BIO_read(w->from_server, late, sizeof(late));
        SSL_shutdown(w->server);
        got = BIO_read(w->from_server, bytes, sizeof(bytes));
        assert_true(got > 0 && after > 0 && (size_t)(got + after) < sizeof(bytes));
        put(w, late, (size_t)after);
        assert_int_equal(w->got_len, 4);
        memcpy(bytes + got, late, (size_t)after);
        tls_put_records(w->tls, bytes, (size_t)(got + after));
        assert_int_equal(tls_read(w->tls, buf, sizeof(buf), &n), TLS_CLOSED);
        assert_int_equal(n, 0);
        /* asked again, it says the same */
        assert_int_equal(tls_read(w->tls, buf, sizeof(buf), &n), TLS_CLOSED);
        assert_int_equal(n, 0);
        channel_free(w);
    }
}

static void finishing_leaves_reading_alone(void **state)
{
    size_t v;

    (void)state;
    for (v = 0; v < COUNT(versions); v++) {
        struct channel *w = opened(&(struct scene){.version = versions[v]});

        tls_close_notify(w->tls);
        carry(w);
        assert_true(SSL_get_shutdown(w->server) & SSL_RECEIVED_SHUTDOWN);
        assert_int_equal(SSL_write(w->server, "answer", 6), 6);
        pump(w);
        assert_int_equal(w->got_len, 6);
        SSL_shutdown(w->server);
        pump(w);
        assert_int_equal(w->result, TLS_CLOSED);
        tls_close_notify(w->tls);
        channel_free(w);
    }
}

static void an_end_in_the_handshake_is_a_failure(void **state)
{
    size_t cut;

    (void)state;
    for (cut = 0; cut < 700; cut += 97) {
        struct channel *w = channel_new(&(struct scene){0}, NULL);
        uint8_t bytes[1024];

        turn(w);
        if (cut) {
            assert_int_equal(BIO_read(w->from_server, bytes, (int)cut), cut);
            put(w, bytes, cut);
        }
        tls_put_end(w->tls);
        turn(w);
        expect_failure(w, REASON_TLS, "closed the connection during the handshake");
        /* to a ClientHello alone, this is what a server says that wants STARTTLS */
        assert_int_equal(strstr(tls_loss(w->tls, true), "STARTTLS") != NULL, cut == 0);
        if (cut == 0)
            expect_failure(w, REASON_TLS, "STARTTLS");
        expect_shut(w);
        channel_free(w);
    }
}

static void what_is_not_tls_is_said(void **state)
{
    static const char *const rows[] = {
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "220 mail.example ESMTP\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "* OK IMAP4 ready\r\n",
    };
    size_t i, c;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        for (c = 0; c < 2; c++) {
            struct channel *w = channel_new(&(struct scene){0}, NULL);
            size_t n;

            turn(w);
            for (n = 0; n < strlen(rows[i]) && !is_over(w); n += c ? 1 : strlen(rows[i]))
                put(w, rows[i] + n, c ? 1 : strlen(rows[i]));
            expect_failure(w, REASON_TLS, "does not speak TLS");
            expect_shut(w);
            channel_free(w);
        }
    }
}

static void garbage_never_opens_anything(void **state)
{
    uint32_t seed = 5;
    int round;

    (void)state;
    for (round = 0; round < 200; round++) {
        struct channel *w = channel_new(&(struct scene){0}, NULL);
        uint8_t bytes[300];
        size_t i;

        turn(w);
        for (i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)random_next(&seed);
        if (round % 2) { /* with a record's head */
            bytes[0] = 20 + (uint8_t)(random_next(&seed) % 4);
            bytes[1] = 3;
            bytes[2] = 3;
            bytes[3] = 0;
            bytes[4] = 200;
        }
        put(w, bytes, sizeof(bytes));
        if (!is_over(w)) {
            tls_put_end(w->tls);
            turn(w);
        }
        assert_int_equal(w->result, TLS_FAILED);
        expect_shut(w);
        channel_free(w);
    }
}

static void damage_after_the_handshake_is_a_failure(void **state)
{
    size_t v;

    (void)state;
    for (v = 0; v < COUNT(versions); v++) {
        struct channel *w = opened(&(struct scene){.version = versions[v]});
        uint8_t bytes[4096];
        int n;

        SSL_write(w->server, "first", 5);
        SSL_write(w->server, "damaged", 7);
        n = BIO_read(w->from_server, bytes, sizeof(bytes));
        bytes[n - 1] ^= 1;
        put(w, bytes, (size_t)n);
        expect_failure(w, REASON_TLS, "bad record mac");
        assert_int_equal(w->got_len, 5);
        expect_shut(w);
        channel_free(w);
    }
}

/* OpenSSL says what it could not parse in words of ASN.1, before it says that TLS failed for it. */
static void a_certificate_that_cannot_be_parsed_is_said_to_be_one(void **state)
{
    const unsigned char *der;
    const size_t len = certs_der(pinned.x509, &der);
    uint8_t bytes[1 << 14], *at;
    size_t i, seen = 0;
    const char *detail;
    int n;

    (void)state;
    /* each byte of the certificate changed, one after the other, in the clear of TLS 1.2 */
    for (i = 0; i < len; i++) {
        struct channel *w = channel_new(&(struct scene){.version = TLS1_2_VERSION}, NULL);

        turn(w);
        n = BIO_read(w->from_server, bytes, sizeof(bytes));
        at = memmem(bytes, (size_t)n, der, len);
        assert_non_null(at);
        at[i] ^= 0x80;
        put(w, bytes, (size_t)n);
        /* what is changed in the signature alone, a pinned certificate does not fail for */
        if (w->result == TLS_FAILED && tls_failure(w->tls, &detail) == REASON_TLS
            && peerchain_length(tls_verdict(w->tls)) == 0) {
            assert_contains(detail, "certificate");
            seen += strstr(detail, "the server's certificate cannot be read: ") != NULL;
        }
        channel_free(w);
    }
    assert_true(seen > 20);
}

static void an_honest_key_update_is_answered(void **state)
{
    struct channel *w = opened(&(struct scene){.version = TLS1_3_VERSION, .chunk = CHUNK_RANDOM});
    int i;

    (void)state;
    for (i = 0; i < 20; i++) {
        uint64_t before = w->sent;

        assert_int_equal(SSL_key_update(w->server, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_write(w->server, "data", 4), 4);
        pump(w);
        assert_int_equal(w->result, TLS_WANT_READ);
        assert_int_equal(w->got_len, 4 * (i + 1));
        assert_int_equal(tls_write(w->tls, (const uint8_t *)"back", 4), TLS_OK);
        carry(w);
        assert_true(w->sent > before);
        assert_int_equal(w->seen_len, 4 * (i + 1));
    }
    channel_free(w);
}

static void a_flood_of_key_updates_is_refused(void **state)
{
    size_t c;

    (void)state;
    for (c = 0; c < COUNT(chunks); c++) {
        struct channel *w = opened(&(struct scene){.version = TLS1_3_VERSION, .chunk = chunks[c]});
        uint64_t before = w->sent;
        int i;

        for (i = 0; i < 5000 && !is_over(w); i++) {
            SSL_key_update(w->server, SSL_KEY_UPDATE_REQUESTED);
            if (SSL_do_handshake(w->server) != 1)
                break;
            if (i % 50 == 49 || chunks[c] != CHUNK_ALL)
                pump(w);
        }
        pump(w);
        expect_failure(w, REASON_TLS, "flood");
        assert_true(w->sent - before < 64 * 1024);
        /* a failure is for good: to conclude the handshake once more must not open the gates */
        assert_int_equal(tls_handshake(w->tls, CERTS_NOW), TLS_FAILED);
        expect_shut(w);
        channel_free(w);
    }
}

/* A long download may well change its keys more often than is free. */
static void key_updates_are_earned_by_data(void **state)
{
    static const uint8_t data[8192];
    struct channel *w = opened(&(struct scene){.version = TLS1_3_VERSION});
    int i;

    (void)state;
    for (i = 0; i < 300; i++) {
        assert_int_equal(SSL_key_update(w->server, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_write(w->server, data, sizeof(data)), sizeof(data));
        w->got_len = 0;
        pump(w);
        assert_int_equal(w->result, TLS_WANT_READ);
        assert_int_equal(w->got_len, sizeof(data));
    }
    channel_free(w);
}

/* A byte between two of them does not make a flood honest. */
static void a_flood_with_a_little_data_is_refused(void **state)
{
    size_t c;

    (void)state;
    for (c = 0; c < COUNT(chunks); c++) {
        struct channel *w = opened(&(struct scene){.version = TLS1_3_VERSION, .chunk = chunks[c]});
        uint64_t before = w->sent;
        int i;

        for (i = 0; i < 3000; i++) {
            assert_int_equal(SSL_key_update(w->server, SSL_KEY_UPDATE_REQUESTED), 1);
            assert_int_equal(SSL_write(w->server, "x", 1), 1);
        }
        pump(w);
        expect_failure(w, REASON_TLS, "flood");
        assert_true(w->got_len < 100);
        assert_true(w->sent - before < 16 * 1024);
        expect_shut(w);
        channel_free(w);
    }
}

static void a_flood_of_tickets_is_refused(void **state)
{
    struct channel *w = opened(&(struct scene){.version = TLS1_3_VERSION});
    int i;

    (void)state;
    for (i = 0; i < 1000 && !is_over(w); i++) {
        assert_int_equal(SSL_new_session_ticket(w->server), 1);
        assert_int_equal(SSL_do_handshake(w->server), 1);
        pump(w);
    }
    expect_failure(w, REASON_TLS, "flood");
    expect_shut(w);
    channel_free(w);
}

/* A server that asks again and again, and does not listen to our no. */
static void a_request_to_renegotiate_gets_nowhere(void **state)
{
    size_t c;

    (void)state;
    for (c = 0; c < COUNT(chunks); c++) {
        struct channel *w = opened(&(struct scene){.version = TLS1_2_VERSION});
        uint8_t bytes[1 << 14], buf[64];
        const uint8_t *out;
        size_t n, at, answered = 0;
        int i;

        for (i = 0; i < 3000 && w->result == TLS_WANT_READ; i++) {
            int got, from = 0;

            assert_int_equal(SSL_renegotiate(w->server), 1);
            assert_int_equal(SSL_do_handshake(w->server), 1);
            got = BIO_read(w->from_server, bytes, sizeof(bytes));
            assert_true(got > 0);
            while (from < got && w->result == TLS_WANT_READ) {
                int piece = chunks[c] == 1 || chunks[c] == 5 ? (int)chunks[c] : got - from;

                piece = piece < got - from ? piece : got - from;
                tls_put_records(w->tls, bytes + from, (size_t)piece);
                from += piece;
                w->result = tls_read(w->tls, buf, sizeof(buf), &n);
                assert_int_equal(n, 0);
                /* alerts at most: a handshake record would be our part in a second handshake */
                n = tls_take_records(w->tls, &out);
                answered += n;
                for (at = 0; at + 5 <= n; at += 5 + (size_t)(out[at + 3] << 8 | out[at + 4]))
                    assert_int_equal(out[at], SSL3_RT_ALERT);
                assert_int_equal(at, n);
            }
        }
        assert_true(i > 1);
        expect_failure(w, REASON_TLS, "flood");
        assert_true(answered < 16 * 1024);
        expect_shut(w);
        channel_free(w);
    }
}

static void servers_without_a_certificate_are_refused(void **state)
{
    static const struct scene rows[] = {
        {.version = TLS1_2_VERSION, .ciphers = "aNULL:@SECLEVEL=0"},
        {.version = TLS1_2_VERSION, .ciphers = "PSK:@SECLEVEL=0", .psk = true},
        {.version = TLS1_3_VERSION, .psk = true},
        {.version = TLS1_2_VERSION, .ciphers = "eNULL:@SECLEVEL=0"},
        {.version = TLS1_2_VERSION, .ciphers = "kRSA:@SECLEVEL=0"},
        {.version = TLS1_1_VERSION, .ciphers = "ALL:@SECLEVEL=0"},
        {.version = TLS1_VERSION, .ciphers = "ALL:@SECLEVEL=0"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        struct channel *w = channel_new(&rows[i], NULL);

        start(w);
        if (!is_over(w)) {
            tls_put_end(w->tls);
            turn(w);
        }
        assert_int_equal(w->result, TLS_FAILED);
        assert_false(w->open);
        expect_shut(w);
        channel_free(w);
    }
}

/*
 * The last line of defence: even with a context that offers such suites, where OpenSSL completes
 * the handshake without asking anyone, no certificate means no trust.
 */
static void a_finished_handshake_without_a_certificate_opens_nothing(void **state)
{
    static const struct scene rows[] = {
        {.careless = true, .ciphers = "aNULL:@SECLEVEL=0"},
        {.careless = true, .ciphers = "kDHEPSK:kECDHEPSK:kPSK:@SECLEVEL=0", .psk = true},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        struct channel *w = channel_new(&rows[i], NULL);

        start(w);
        /* or the test would show nothing */
        assert_true(SSL_is_init_finished(w->server));
        assert_null(tls_verdict(w->tls)->chain);
        assert_false(w->open);
        expect_failure(w, REASON_TLS, "no certificate");
        expect_shut(w);
        channel_free(w);
    }
}

static void a_server_that_is_only_observed_gets_no_plaintext(void **state)
{
    size_t v;

    (void)state;
    for (v = 0; v < COUNT(versions); v++) {
        struct channel *w = channel_new(&(struct scene){.observe = true, .version = versions[v]},
                                        NULL);

        start(w);
        /* it has proved its key, so that what is shown is its own */
        assert_true(SSL_is_init_finished(w->server));
        expect_failure(w, REASON_PROBE_ONLY, "");
        assert_false(w->open);
        assert_true(peerchain_starts_with(tls_verdict(w->tls), pinned.x509));
        expect_shut(w);
        channel_free(w);
    }
}

static void sign_with_sha1(SSL_CTX *server)
{
    assert_int_equal(SSL_CTX_set1_sigalgs_list(server, "RSA+SHA1"), 1);
}

/* A list that names SHA-1 is not taken at all: unit/tlsctx. */
static void a_handshake_signed_with_sha1_is_refused(void **state)
{
    const struct cert rsa = certs_make(&(struct cert_order){.key = certs_rsa_key(2048)});
    char text[256];
    struct channel *w;

    (void)state;
    snprintf(text, sizeof(text), "pin = %s", certs_key_pin(&rsa));
    w = channel_new(&(struct scene){.keys = text, .server = &rsa, .version = TLS1_2_VERSION}, NULL);
    start(w);
    assert_true(w->open); /* with SHA-256 */
    channel_free(w);
    w = channel_new(
        &(struct scene){
            .keys = text, .server = &rsa, .version = TLS1_2_VERSION, .prepare = sign_with_sha1},
        NULL);
    start(w);
    assert_int_equal(w->result, TLS_FAILED);
    assert_false(w->open);
    expect_shut(w);
    channel_free(w);
}

static void add_certificates(SSL_CTX *server, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++)
        assert_int_equal(SSL_CTX_add1_chain_cert(server, other.x509), 1);
}

static void send_many(SSL_CTX *server)
{
    add_certificates(server, CERTMSG_CERTIFICATES_MAX - 1);
}

static void send_too_many(SSL_CTX *server)
{
    add_certificates(server, CERTMSG_CERTIFICATES_MAX);
}

/* One certificate of 35 KB. */
static void add_large_certificate(SSL_CTX *server)
{
    struct strbuf san = {0};
    struct cert large;
    int i;

    for (i = 0; i < 1000; i++)
        strbuf_addf(&san, "%sDNS:a-name-of-thirty-and-two-bytes-%d", i ? "," : "", 1000 + i);
    large = certs_make(&(struct cert_order){.cn = "large", .san = strbuf_text(&san)});
    strbuf_free(&san);
    assert_int_equal(SSL_CTX_add1_chain_cert(server, large.x509), 1);
}

static void send_large(SSL_CTX *server)
{
    add_large_certificate(server);
}

static void send_too_large(SSL_CTX *server)
{
    add_large_certificate(server);
    add_large_certificate(server);
}

static void a_certificate_list_without_end_is_refused(void **state)
{
    static const struct {
        void (*good)(SSL_CTX *server), (*bad)(SSL_CTX *server);
        size_t length;
        const char *detail;
    } rows[] = {
        {send_many, send_too_many, CERTMSG_CERTIFICATES_MAX, "more than 32 certificates"},
        {send_large, send_too_large, 2, "more than 64 KiB together"},
    };
    struct channel *w;
    size_t v, i;

    (void)state;
    for (v = 0; v < COUNT(versions); v++) {
        for (i = 0; i < COUNT(rows); i++) {
            w = opened(&(struct scene){.version = versions[v], .prepare = rows[i].good});
            assert_int_equal(peerchain_length(tls_verdict(w->tls)), rows[i].length);
            channel_free(w);
            w = channel_new(&(struct scene){.version = versions[v], .prepare = rows[i].bad}, NULL);
            start(w);
            expect_failure(w, REASON_TLS, rows[i].detail);
            assert_false(w->open);
            /* OpenSSL has parsed none */
            assert_int_equal(peerchain_length(tls_verdict(w->tls)), 0);
            expect_shut(w);
            channel_free(w);
        }
    }
}

static void use_dh(SSL_CTX *server, const char *group)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "DH", NULL);
    EVP_PKEY *dh = NULL;

    assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
    assert_int_equal(EVP_PKEY_CTX_set_group_name(ctx, group), 1);
    assert_int_equal(EVP_PKEY_generate(ctx, &dh), 1);
    SSL_CTX_set_dh_auto(server, 0);
    assert_int_equal(SSL_CTX_set0_tmp_dh_pkey(server, dh), 1);
    EVP_PKEY_CTX_free(ctx);
}

static void use_ffdhe2048(SSL_CTX *server)
{
    assert_int_equal(SSL_CTX_set1_groups_list(server, "ffdhe2048"), 1);
    use_dh(server, "ffdhe2048");
}

static void use_ffdhe4096(SSL_CTX *server)
{
    use_dh(server, "ffdhe4096");
}

static void use_ffdhe6144(SSL_CTX *server)
{
    use_dh(server, "ffdhe6144");
}

/* The server chooses the group, and with it how long we compute, before it has proved anything. */
static void finite_field_diffie_hellman_is_only_for_those_who_name_it(void **state)
{
    const struct cert rsa = certs_make(&(struct cert_order){.key = certs_rsa_key(2048)});
    struct scene scene = {.version = TLS1_3_VERSION, .prepare = use_ffdhe2048};
    struct channel *w;
    char keys[256];

    (void)state;
    w = channel_new(&scene, NULL);
    start(w);
    assert_int_equal(w->result, TLS_FAILED);
    channel_free(w);
    scene.keys = "groups = X25519:ffdhe2048";
    channel_free(opened(&scene));

    scene = (struct scene){.version = TLS1_2_VERSION,
                           .server = &rsa,
                           .ciphers = "kDHE:@SECLEVEL=0",
                           .prepare = use_ffdhe4096};
    snprintf(keys, sizeof(keys), "pin = %s", certs_key_pin(&rsa));
    scene.keys = keys;
    w = channel_new(&scene, NULL);
    start(w);
    assert_int_equal(w->result, TLS_FAILED);
    channel_free(w);
    snprintf(keys, sizeof(keys), "pin = %s\nciphers = DHE+AESGCM", certs_key_pin(&rsa));
    channel_free(opened(&scene));
    /* what the server makes of it has a bound even then */
    scene.prepare = use_ffdhe6144;
    w = channel_new(&scene, NULL);
    start(w);
    expect_failure(w, REASON_WEAK, "Diffie-Hellman group");
    expect_shut(w);
    channel_free(w);
}

/* OpenSSL itself passes over them, however many come, and takes records of one byte. */
static void a_flood_in_the_handshake_is_refused(void **state)
{
    static const struct {
        const char *record;
        size_t n;
    } rows[] = {
        {"\x16\x03\x03\x00\x04\0\0\0\0", 9},                              /* HelloRequest */
        {"\x16\x03\x03\x00\x08\0\0\0\0\0\0\0\0", 13},                     /* two of them */
        {"\x15\x03\x03\x00\x02\x01\x5a\x16\x03\x03\x00\x04\0\0\0\0", 16}, /* and an alert */
        {"\x16\x03\x03\x00\x01\x02", 6}, /* a message of 131,586 bytes, byte by byte */
    };
    uint8_t bytes[1 << 14];
    size_t i, n, c;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        for (c = 0; c < 2; c++) {
            struct channel *w = channel_new(&(struct scene){0}, NULL);
            const size_t rest = c ? rows[i].n : sizeof(bytes) / rows[i].n * rows[i].n;

            for (n = 0; n < rest; n += rows[i].n)
                memcpy(bytes + n, rows[i].record, rows[i].n);
            turn(w);
            for (n = 0; n < 100000 && !is_over(w); n += rest)
                put(w, bytes, rest);
            assert_int_equal(w->result, TLS_FAILED);
            if (i < 3)
                expect_failure(w, REASON_TLS, "flood");
            expect_shut(w);
            channel_free(w);
        }
    }
}

static void ask_for_a_certificate(SSL_CTX *server)
{
    SSL_CTX_set_verify(server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
}

/* With TLS 1.3 the server's no comes when the handshake is already over here. */
static void a_server_that_wants_our_certificate_is_told_of(void **state)
{
    size_t v;

    (void)state;
    for (v = 0; v < COUNT(versions); v++) {
        struct channel *w = channel_new(
            &(struct scene){.version = versions[v], .prepare = ask_for_a_certificate}, NULL);

        start(w);
        expect_failure(w, REASON_TLS,
                       versions[v] == TLS1_3_VERSION ? "the server wants a client certificate"
                                                     : "the server refused: ");
        assert_int_equal(w->got_len, 0);
        expect_shut(w);
        channel_free(w);
    }
}

/* The records of one connection must never go out on another. */
static void connections_of_one_thread_never_mix_their_records(void **state)
{
    struct tls_thread thread;
    struct channel *a, *b;
    const uint8_t *bytes;
    size_t n;

    (void)state;
    assert_true(tls_thread_init(&thread));
    a = channel_new(&(struct scene){0}, &thread);
    b = channel_new(&(struct scene){0}, &thread);
    start(a);
    start(b);
    assert_true(a->open && b->open);
    /* nobody takes what a wrote */
    assert_int_equal(tls_write(a->tls, (const uint8_t *)"of a", 4), TLS_OK);
    assert_int_equal(tls_take_records(b->tls, &bytes), 0);
    assert_int_equal(tls_write(b->tls, (const uint8_t *)"of b", 4), TLS_OK);
    n = tls_take_records(b->tls, &bytes);
    assert_true(n > 4 && n < 60);
    BIO_write(b->to_server, bytes, (int)n);
    carry(b);
    assert_int_equal(b->seen_len, 4);
    assert_memory_equal(b->seen, "of b", 4);
    assert_int_equal(tls_take_records(a->tls, &bytes), 0);
    /* one that goes away leaves nothing to the next */
    assert_int_equal(tls_write(b->tls, (const uint8_t *)"left", 4), TLS_OK);
    channel_free(b);
    b = channel_new(&(struct scene){0}, &thread);
    assert_int_equal(tls_take_records(b->tls, &bytes), 0);
    start(b);
    assert_true(b->open);
    channel_free(a);
    channel_free(b);
    tls_thread_free(&thread);
}

static void the_section_decides_what_is_offered(void **state)
{
    struct channel *w = opened(&(struct scene){.keys = "sni = other.example\ntls_max = 1.2"});

    (void)state;
    assert_string_equal(SSL_get_servername(w->server, TLSEXT_NAMETYPE_host_name), "other.example");
    assert_string_equal(tls_version(w->tls), "TLSv1.2");
    channel_free(w);
    w = opened(&(struct scene){.keys = "sni = off"});
    assert_null(SSL_get_servername(w->server, TLSEXT_NAMETYPE_host_name));
    channel_free(w);
    w = opened(&(struct scene){0});
    assert_string_equal(SSL_get_servername(w->server, TLSEXT_NAMETYPE_host_name),
                        "api.example.com");
    channel_free(w);
    w = channel_new(&(struct scene){.keys = "tls_min = 1.3", .version = TLS1_2_VERSION}, NULL);
    start(w);
    assert_int_equal(w->result, TLS_FAILED);
    expect_shut(w);
    channel_free(w);
}

static void a_connection_tells_its_cipher_and_its_pin(void **state)
{
    struct channel *w = opened(
        &(struct scene){.version = TLS1_2_VERSION, .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256"});

    (void)state;
    assert_string_equal(tls_version(w->tls), "TLSv1.2");
    assert_string_equal(tls_cipher(w->tls), "ECDHE-ECDSA-AES128-GCM-SHA256");
    assert_ptr_equal(tls_verdict(w->tls)->pin, &w->config->sections[0]->pins.items[0]);
    assert_int_equal(tls_verdict(w->tls)->reason, REASON_OK);
    channel_free(w);
}

/* A policy of another configuration for the same section. Both are to be freed. */
static struct policy *other_policy(const char *keys, struct config **config)
{
    struct diag_list diags = {0};
    struct policy *policy;
    char text[1024];

    snprintf(text, sizeof(text), "[api.example.com]\n%s\n", keys);
    *config = config_parse("y.conf", text, strlen(text), &diags);
    assert_int_equal(diags.count, 0);
    policy = policy_new((*config)->sections[0], stores, NULL, &diags);
    assert_non_null(policy);
    return policy;
}

/*
 * A handshake in which so many bytes are read under one policy, and the rest under that of these
 * keys. False: it was over before.
 */
static bool replace_policy(int version, size_t at, const char *keys, enum reason reason)
{
    struct channel *w = channel_new(&(struct scene){.version = version, .chunk = 1}, NULL);
    struct config *config;
    struct policy *policy = other_policy(keys, &config);
    uint8_t byte;
    bool in_time;

    turn(w);
    while (at-- && !w->open && BIO_read(w->from_server, &byte, 1) == 1)
        put(w, &byte, 1);
    in_time = !w->open;
    if (in_time) {
        tls_set_policy(w->tls, policy);
        /* the old one is no longer looked at */
        policy_free(w->policy);
        w->policy = NULL;
        pump(w);
        assert_int_equal(w->open, reason == REASON_OK);
        if (reason != REASON_OK) {
            expect_failure(w, reason, "");
            expect_shut(w);
        } else {
            assert_int_equal(w->result, TLS_WANT_READ);
            assert_ptr_equal(tls_verdict(w->tls)->pin, &config->sections[0]->pins.items[1]);
        }
    }
    channel_free(w);
    policy_free(policy);
    config_free(config);
    return in_time;
}

static void a_policy_that_is_replaced_at_any_byte_judges_alone(void **state)
{
    char keys[512];
    size_t v, at;

    (void)state;
    for (v = 0; v < COUNT(versions); v++) {
        snprintf(keys, sizeof(keys), "pin = %s", certs_key_pin(&other));
        for (at = 0; replace_policy(versions[v], at, keys, REASON_PIN_MISMATCH); at += 11)
            ;
        assert_true(at > 500); /* a certificate has come in between */
        snprintf(keys, sizeof(keys), "pin = %s\nrevoked = %s", certs_key_pin(&pinned),
                 certs_key_pin(&pinned));
        for (at = 5; replace_policy(versions[v], at, keys, REASON_REVOKED); at += 37)
            ;
        snprintf(keys, sizeof(keys), "pin = %s\n    %s", certs_key_pin(&other),
                 certs_key_pin(&pinned));
        for (at = 0; replace_policy(versions[v], at, keys, REASON_OK); at += 11)
            ;
    }
}

static void a_first_use_opens_nothing_until_the_key_is_kept(void **state)
{
    static const char data[] = "sent right behind the handshake";
    uint8_t key[CERT_DIGEST_SIZE];
    size_t v;

    (void)state;
    assert_true(cert_key_digest(pinned.x509, key));
    for (v = 0; v < COUNT(versions); v++) {
        char *why = NULL;
        struct learned *l = learned_open(temp_path("first%zu", v), true, LEARNEDDIR_OWNER, &why);
        struct channel *w = channel_new(
            &(struct scene){
                .version = versions[v], .unpinned = true, .keys = "verify = tofu", .learned = l},
            NULL);

        assert_non_null(l);
        turn(w);
        while (!is_over(w)) {
            /* what follows the server's last flight comes with it, in one piece */
            if (SSL_is_init_finished(w->server))
                assert_int_equal(SSL_write(w->server, data, sizeof(data)), sizeof(data));
            pump(w);
        }
        expect_waiting(w);
        /* asking again is no proof */
        w->result = tls_handshake(w->tls, CERTS_NOW);
        expect_waiting(w);
        learn_key(l, "api.example.com", "api.example.com:443", key, CERTS_NOW);
        w->result = TLS_WANT_READ;
        turn(w);
        assert_true(w->open);
        if (w->got_len == 0) {
            assert_int_equal(SSL_write(w->server, data, sizeof(data)), sizeof(data));
            pump(w);
        }
        assert_int_equal(w->got_len, sizeof(data));
        assert_memory_equal(w->got, data, sizeof(data));
        channel_free(w);
        learned_release(l);
    }
}

static void a_changed_key_is_told_of_only_when_it_is_proved(void **state)
{
    uint8_t key[CERT_DIGEST_SIZE];
    size_t v;

    (void)state;
    assert_true(cert_key_digest(other.x509, key));
    for (v = 0; v < COUNT(versions); v++) {
        char *why = NULL;
        struct learned *l = learned_open(temp_path("changed%zu", v), true, LEARNEDDIR_OWNER, &why);
        struct channel *w = channel_new(
            &(struct scene){
                .version = versions[v], .unpinned = true, .keys = "verify = tofu", .learned = l},
            NULL);

        assert_non_null(l);
        learn_key(l, "api.example.com", "api.example.com:443", key, CERTS_NOW);
        start(w);
        assert_true(SSL_is_init_finished(w->server));
        expect_failure(w, REASON_TOFU_CHANGED, certs_key_pin(&other));
        expect_shut(w);
        channel_free(w);
        learned_release(l);
    }
}

static void a_first_use_that_another_has_won_is_refused(void **state)
{
    char *why = NULL;
    struct learned *l = learned_open(temp_path("lost"), true, LEARNEDDIR_OWNER, &why);
    struct channel *w = channel_new(
        &(struct scene){.unpinned = true, .keys = "verify = tofu", .learned = l}, NULL);
    uint8_t key[CERT_DIGEST_SIZE];

    (void)state;
    start(w);
    expect_waiting(w);
    assert_true(cert_key_digest(other.x509, key));
    learn_key(l, "api.example.com", "api.example.com:443", key, CERTS_NOW);
    w->result = tls_handshake(w->tls, CERTS_NOW);
    expect_failure(w, REASON_TOFU_CHANGED, certs_key_pin(&other));
    expect_shut(w);
    channel_free(w);
    learned_release(l);
}

/* Servers that can resume each other's sessions. */
static void share_tickets(SSL_CTX *server)
{
    unsigned char keys[80];

    memset(keys, 42, sizeof(keys));
    assert_int_equal(SSL_CTX_set_tlsext_ticket_keys(server, keys, sizeof(keys)), 1);
}

/* A connection on which a ticket has come. */
static struct channel *visit(struct session_cache *sessions, int version, const char *keys,
                             int64_t now)
{
    struct channel *w = channel_new(&(struct scene){.version = version,
                                                    .keys = keys,
                                                    .sessions = sessions,
                                                    .prepare = share_tickets,
                                                    .now = now},
                                    NULL);

    start(w);
    return w;
}

/* In order: what is broken off, OpenSSL does not resume. */
static void leave(struct channel *w)
{
    tls_close_notify(w->tls);
    channel_free(w);
}

static void a_session_is_resumed_and_judged_anew(void **state)
{
    static const char keys[] = "resume = yes\npin = sha256//"
                               "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
    size_t v, i;

    (void)state;
    for (v = 0; v < COUNT(versions); v++) {
        struct session_cache *sessions = session_cache_new();

        for (i = 0; i < 3; i++) {
            struct channel *w = visit(sessions, versions[v], keys, 0);

            assert_true(w->open);
            assert_int_equal(tls_is_resumed(w->tls), i > 0);
            assert_int_equal(SSL_session_reused(w->server), i > 0);
            assert_true(tls_verdict(w->tls)->trusted);
            assert_non_null(tls_verdict(w->tls)->pin);
            leave(w);
        }
        session_cache_free(sessions);
    }
}

/* 23:30 on the pin's last day. */
#define EVENING INT64_C(1800055800)

/* A connection to a server whose pin ends at midnight. */
static struct channel *visit_before_midnight(struct session_cache *sessions, int version,
                                             int64_t now)
{
    static char keys[256];

    snprintf(keys, sizeof(keys), "verify = pin\nresume = yes\npin = %s until=2027-01-16",
             certs_key_pin(&pinned));
    return channel_new(&(struct scene){.version = version,
                                       .unpinned = true,
                                       .keys = keys,
                                       .sessions = sessions,
                                       .prepare = share_tickets,
                                       .now = now},
                       NULL);
}

/*
 * Offered before midnight, resumed after it: the verdict is on the moment at which bytes would
 * flow.
 */
static void a_resumed_session_ends_with_its_pin(void **state)
{
    size_t v;

    (void)state;
    for (v = 0; v < COUNT(versions); v++) {
        struct session_cache *sessions = session_cache_new();
        struct channel *w = visit_before_midnight(sessions, versions[v], EVENING);

        start(w);
        assert_true(w->open);
        leave(w);
        w = visit_before_midnight(sessions, versions[v], EVENING + 10);
        turn(w);
        w->scene.now = EVENING + 3000;
        pump(w);
        assert_true(SSL_session_reused(w->server));
        expect_failure(w, REASON_EXPIRED_PINS, "2027-01-16");
        expect_shut(w);
        leave(w);
        session_cache_free(sessions);
    }
}

/* What would not be trusted is not offered: a full handshake tells. */
static void a_session_past_its_pin_is_not_offered(void **state)
{
    size_t v;

    (void)state;
    for (v = 0; v < COUNT(versions); v++) {
        struct session_cache *sessions = session_cache_new();
        struct channel *w = visit_before_midnight(sessions, versions[v], EVENING);

        start(w);
        assert_true(w->open);
        leave(w);
        w = visit_before_midnight(sessions, versions[v], EVENING + 3000);
        start(w);
        assert_false(SSL_session_reused(w->server));
        expect_failure(w, REASON_EXPIRED_PINS, "2027-01-16");
        expect_shut(w);
        leave(w);
        session_cache_free(sessions);
    }
}

/* Should our cache ever mix sessions up, OpenSSL still tells them apart. */
static void a_session_of_another_policy_is_not_resumed(void **state)
{
    size_t v;

    (void)state;
    for (v = 0; v < COUNT(versions); v++) {
        struct session_cache *sessions = session_cache_new();
        struct channel *w = visit(sessions, versions[v], "resume = yes", 0);
        struct channel *asks = visit(NULL, versions[v], "resume = yes\nalso_check = dates", 0);
        struct session s;

        assert_true(w->open && asks->open);
        assert_true(session_take(sessions, w->policy, CERTS_NOW, &s));
        session_put(sessions, asks->policy, &s);
        leave(w);
        leave(asks);
        w = visit(sessions, versions[v], "resume = yes\nalso_check = dates", 0);
        assert_false(w->open);
        assert_int_equal(w->result, TLS_FAILED);
        expect_shut(w);
        leave(w);
        session_cache_free(sessions);
    }
}

static void nothing_is_resumed_where_the_section_says_no(void **state)
{
    struct session_cache *sessions = session_cache_new();
    size_t v, i;

    (void)state;
    for (v = 0; v < COUNT(versions); v++) {
        for (i = 0; i < 2; i++) {
            struct channel *w = visit(sessions, versions[v], "resume = no", 0);

            assert_true(w->open);
            assert_false(tls_is_resumed(w->tls));
            leave(w);
        }
    }
    session_cache_free(sessions);
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned in_len, void *arg)
{
    struct channel *w = arg;

    (void)ssl;
    memcpy(w->seen, in, in_len);
    w->seen[in_len] = 0;
    *out = in + 1;
    *out_len = in[0];
    return SSL_TLSEXT_ERR_OK;
}

static void application_protocols_are_offered_in_order(void **state)
{
    struct channel *w = channel_new(&(struct scene){.keys = "alpn = h2\n  http/1.1"}, NULL);

    (void)state;
    SSL_CTX_set_alpn_select_cb(w->server_ctx, choose_alpn, w);
    start(w);
    assert_true(w->open);
    assert_string_equal((char *)w->seen, "\x02h2\x08http/1.1");
    channel_free(w);
}

static void an_alert_of_the_server_is_told(void **state)
{
    /* no signature algorithm in common */
    struct channel *w = channel_new(&(struct scene){.keys = "sigalgs = RSA-PSS+SHA256"}, NULL);

    (void)state;
    start(w);
    expect_failure(w, REASON_TLS, "the server refused: ");
    channel_free(w);
    /* the end of the wire, seen in the same turn, does not hide it */
    w = channel_new(&(struct scene){.keys = "sigalgs = RSA-PSS+SHA256"}, NULL);
    turn(w);
    tls_put_end(w->tls);
    pump(w);
    expect_failure(w, REASON_TLS, "the server refused: ");
    channel_free(w);
    tls_free(NULL);
    assert_contains(tls_library(), "OpenSSL");
}

static int setup(void **state)
{
    (void)state;
    pinned = certs_leaf("DNS:api.example.com", NULL);
    other = certs_leaf("DNS:api.example.com", NULL);
    root = certs_ca("root");
    weak = certs_make(&(struct cert_order){.cn = "weak", .key = certs_rsa_key(1024)});
    contexts = tlsctx_set_new();
    stores = anchors_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tlsctx_set_free(contexts);
    anchors_free(stores);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_pass_both_ways_however_they_are_cut),
        cmocka_unit_test(a_whole_turn_fits),
        cmocka_unit_test(a_megabyte_goes_each_way_in_whole_turns),
        cmocka_unit_test(records_that_nobody_takes_do_not_pile_up),
        cmocka_unit_test(gates_are_shut_before_trust),
        cmocka_unit_test(gates_are_shut_before_the_handshake_starts),
        cmocka_unit_test(another_key_is_refused_and_the_server_is_told),
        cmocka_unit_test(a_refusal_keeps_its_own_reason),
        cmocka_unit_test(a_certificate_without_its_key_is_refused),
        cmocka_unit_test(only_what_the_verdict_rests_on_is_shared),
        cmocka_unit_test(a_flight_with_one_bit_changed_opens_nothing),
        cmocka_unit_test(the_last_flight_and_the_first_data_in_one_read_are_both_taken),
        cmocka_unit_test(a_clean_end_is_told_from_a_truncated_one),
        cmocka_unit_test(an_end_inside_of_a_record_is_a_truncation),
        cmocka_unit_test(what_follows_close_notify_is_not_read),
        cmocka_unit_test(finishing_leaves_reading_alone),
        cmocka_unit_test(an_end_in_the_handshake_is_a_failure),
        cmocka_unit_test(what_is_not_tls_is_said),
        cmocka_unit_test(garbage_never_opens_anything),
        cmocka_unit_test(damage_after_the_handshake_is_a_failure),
        cmocka_unit_test(a_certificate_that_cannot_be_parsed_is_said_to_be_one),
        cmocka_unit_test(an_honest_key_update_is_answered),
        cmocka_unit_test(a_flood_of_key_updates_is_refused),
        cmocka_unit_test(key_updates_are_earned_by_data),
        cmocka_unit_test(a_flood_with_a_little_data_is_refused),
        cmocka_unit_test(a_flood_of_tickets_is_refused),
        cmocka_unit_test(a_request_to_renegotiate_gets_nowhere),
        cmocka_unit_test(servers_without_a_certificate_are_refused),
        cmocka_unit_test(a_finished_handshake_without_a_certificate_opens_nothing),
        cmocka_unit_test(a_server_that_is_only_observed_gets_no_plaintext),
        cmocka_unit_test(a_handshake_signed_with_sha1_is_refused),
        cmocka_unit_test(a_certificate_list_without_end_is_refused),
        cmocka_unit_test(finite_field_diffie_hellman_is_only_for_those_who_name_it),
        cmocka_unit_test(a_flood_in_the_handshake_is_refused),
        cmocka_unit_test(a_server_that_wants_our_certificate_is_told_of),
        cmocka_unit_test(connections_of_one_thread_never_mix_their_records),
        cmocka_unit_test(the_section_decides_what_is_offered),
        cmocka_unit_test(a_connection_tells_its_cipher_and_its_pin),
        cmocka_unit_test(a_policy_that_is_replaced_at_any_byte_judges_alone),
        cmocka_unit_test(a_first_use_opens_nothing_until_the_key_is_kept),
        cmocka_unit_test(a_changed_key_is_told_of_only_when_it_is_proved),
        cmocka_unit_test(a_first_use_that_another_has_won_is_refused),
        cmocka_unit_test(a_session_is_resumed_and_judged_anew),
        cmocka_unit_test(a_resumed_session_ends_with_its_pin),
        cmocka_unit_test(a_session_past_its_pin_is_not_offered),
        cmocka_unit_test(a_session_of_another_policy_is_not_resumed),
        cmocka_unit_test(nothing_is_resumed_where_the_section_says_no),
        cmocka_unit_test(application_protocols_are_offered_in_order),
        cmocka_unit_test(an_alert_of_the_server_is_told),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
