/*
 * The TLS engine against an OpenSSL server, in memory. The input says what becomes of the records
 * between them: passed on in pieces, damaged, replaced, cut off.
 *
 * Whatever happens: a server whose key is not pinned never gets past the handshake and sees no
 * plaintext; what the engine reads is what the server wrote, from the first byte on, in order, and
 * what the server reads is what the engine wrote. The end is the end only if the server said so.
 */
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/loader.h"
#include "config/section.h"
#include "pin/cert.h"
#include "tls/tls.h"
#include "tls/tlsctx.h"
#include "tls/tlsthread.h"
#include "trust/anchors.h"
#include "trust/policy.h"
#include "trust/trust.h"

#define NOW ((int64_t)1800000000)
#define PIECE 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is made once. */
static struct {
    SSL_CTX *server;
    struct policy *policies[2]; /* that pins another key; that pins the server's */
    struct config *configs[2];
    struct tlsctx_set *set;
    SSL_CTX *client;
    struct tls_thread thread;
} once;

struct play {
    struct tls *client;
    SSL *server;
    BIO *to_server, *from_server;
    bool pinned, open, over, failed;
    bool shut;      /* the server has said close_notify */
    uint64_t wrote; /* the server writes the bytes 0, 1, 2... */
    uint64_t read;
    uint64_t seen; /* the client writes the same word over and over */
};

static const uint8_t word[] = "hello";

static void need(bool ok)
{
    if (!ok)
        abort();
}

static void make_policy(int index, const uint8_t digest[CERT_DIGEST_SIZE])
{
    struct anchors *stores = anchors_new();
    struct diag_list diags = {0};
    char pin[PIN_KEY_TEXT_SIZE], text[256];
    int n;

    pin_format_key(digest, pin);
    n = snprintf(text, sizeof(text), "[demo.example]\nlisten = 127.0.0.1:0\npin = %s\n", pin);
    once.configs[index] = config_parse("fuzz.conf", text, (size_t)n, &diags);
    diag_print(&diags, stderr);
    need(diags.count == 0 && once.configs[index]->count == 1);
    once.policies[index] = policy_new(once.configs[index]->sections[0], stores, NULL, &diags);
    need(once.policies[index]);
    anchors_free(stores);
    diag_free(&diags);
}

static void make_once(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    struct diag_list diags = {0};
    uint8_t digest[EVP_MAX_MD_SIZE];
    uint8_t *der = NULL;
    int n;

    need(key && cert);
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_time_adj_ex(X509_getm_notBefore(cert), -1, 0, NULL);
    X509_time_adj_ex(X509_getm_notAfter(cert), 1, 0, NULL);
    X509_set_pubkey(cert, key);
    need(X509_sign(cert, key, EVP_sha256()) > 0);

    once.server = SSL_CTX_new(TLS_server_method());
    need(once.server && SSL_CTX_use_certificate(once.server, cert) == 1
         && SSL_CTX_use_PrivateKey(once.server, key) == 1);

    n = i2d_PUBKEY(key, &der);
    need(n > 0 && EVP_Digest(der, (size_t)n, digest, NULL, EVP_sha256(), NULL) == 1);
    make_policy(1, digest);
    digest[0] ^= 1;
    make_policy(0, digest);

    once.set = tlsctx_set_new();
    once.client = tlsctx_get(once.set, once.configs[0]->sections[0], &diags);
    need(once.client && tls_thread_init(&once.thread));
    OPENSSL_free(der);
    X509_free(cert);
    EVP_PKEY_free(key);
}

/* The engine's records to the server; what the server reads must be what the client wrote. */
static void carry_to_server(struct play *p)
{
    const uint8_t *records;
    uint8_t plain[PIECE];
    size_t n = tls_take_records(p->client, &records);
    int got, i;

    if (n > 0)
        need(BIO_write(p->to_server, records, (int)n) == (int)n);
    while ((got = SSL_read(p->server, plain, sizeof(plain))) > 0) {
        need(p->pinned && p->open);
        for (i = 0; i < got; i++)
            need(plain[i] == word[p->seen++ % sizeof(word)]);
    }
}

/* Lets the engine use up what it was given. */
static void turn(struct play *p)
{
    static uint8_t plain[TLS_PLAINTEXT_SIZE];
    enum tls_result r = TLS_OK;
    size_t got, i;

    if (p->over)
        return;
    if (!p->open) {
        r = tls_handshake(p->client, NOW);
        carry_to_server(p);
        need(r != TLS_OK || p->pinned);
        p->open = r == TLS_OK;
    }
    while (p->open && r == TLS_OK) {
        got = 0;
        r = tls_read(p->client, plain, sizeof(plain), &got);
        for (i = 0; i < got; i++)
            need(plain[i] == (uint8_t)p->read++);
        need(p->read <= p->wrote);
        need(r != TLS_CLOSED || (p->shut && p->read == p->wrote));
        carry_to_server(p);
    }
    p->over = r != TLS_OK && r != TLS_WANT_READ;
    p->failed = r == TLS_FAILED;
}

/* The plaintext gates of an engine that is not, or no more, open: nothing in, nothing out. */
static void try_gates(struct play *p)
{
    const uint8_t *records;
    uint8_t plain[16];
    size_t got = 1;

    (void)tls_take_records(p->client, &records);
    need(tls_write(p->client, word, sizeof(word)) == TLS_FAILED);
    need(tls_take_records(p->client, &records) == 0);
    need(tls_read(p->client, plain, sizeof(plain), &got) == TLS_FAILED && got == 0);
    tls_close_notify(p->client);
    need(tls_take_records(p->client, &records) == 0);
}

static void put(struct play *p, const uint8_t *bytes, size_t n)
{
    if (n == 0 || p->over)
        return;
    tls_put_records(p->client, bytes, n);
    turn(p);
}

/* n bytes of what the server sent, with the byte at `damage` changed by `with`. */
static void pass(struct play *p, size_t n, size_t damage, uint8_t with)
{
    uint8_t bytes[PIECE];
    int got;

    if (n > sizeof(bytes))
        n = sizeof(bytes);
    got = BIO_read(p->from_server, bytes, (int)n);
    if (got <= 0)
        return;
    bytes[damage % (size_t)got] ^= with;
    put(p, bytes, (size_t)got);
}

static void server_write(struct play *p, size_t n)
{
    uint8_t bytes[256];
    size_t i;

    if (!SSL_is_init_finished(p->server) || n == 0)
        return;
    for (i = 0; i < n; i++)
        bytes[i] = (uint8_t)p->wrote++;
    if (SSL_write(p->server, bytes, (int)n) != (int)n)
        p->wrote -= n;
}

static void act(struct play *p, uint8_t op, uint8_t arg, const uint8_t **data, size_t *size)
{
    size_t n;

    switch (op % 10) {
    case 0:
        pass(p, PIECE, 0, 0);
        break;
    case 1:
        pass(p, arg, 0, 0);
        break;
    case 2:
        pass(p, PIECE, arg, (uint8_t)(op / 10 + 1));
        break;
    case 3:
        n = arg < *size ? arg : *size;
        put(p, *data, n);
        *data += n;
        *size -= n;
        break;
    case 4:
        server_write(p, arg);
        break;
    case 5:
        SSL_key_update(p->server,
                       arg & 1 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
        server_write(p, 1);
        break;
    case 6:
        p->shut = SSL_shutdown(p->server) >= 0 || p->shut;
        break;
    case 7:
        if (!p->open && !p->over) {
            try_gates(p);
            p->over = true;
        }
        if (p->open && !p->over) {
            p->over = tls_write(p->client, word, sizeof(word)) != TLS_OK;
            carry_to_server(p);
        }
        break;
    case 8:
        if (p->open && !p->over) {
            tls_close_notify(p->client);
            carry_to_server(p);
        }
        break;
    case 9:
        if (!p->over) {
            tls_put_end(p->client);
            turn(p);
            p->over = true;
        }
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct play p = {0};
    uint8_t first;

    if (!once.server)
        make_once();
    if (size < 1)
        return 0;
    first = *data++;
    size--;

    p.pinned = first & 1;
    p.client = tls_new(once.client, once.policies[p.pinned], &once.thread, false);
    p.server = SSL_new(once.server);
    p.to_server = BIO_new(BIO_s_mem());
    p.from_server = BIO_new(BIO_s_mem());
    need(p.client && p.server && p.to_server && p.from_server);
    SSL_set_bio(p.server, p.to_server, p.from_server);
    SSL_set_accept_state(p.server);
    if (first & 2)
        SSL_set_max_proto_version(p.server, TLS1_2_VERSION);

    turn(&p);
    /* half of the inputs start behind the handshake, which blind damage seldom survives */
    if (first & 4)
        while (!p.open && !p.over && BIO_ctrl_pending(p.from_server) > 0)
            pass(&p, PIECE, 0, 0);
    while (size >= 2 && !p.over) {
        uint8_t op = data[0], arg = data[1];

        data += 2;
        size -= 2;
        act(&p, op, arg, &data, &size);
    }
    if (p.failed || !p.open)
        try_gates(&p);
    tls_free(p.client);
    SSL_free(p.server);
    return 0;
}
