/*
 * A channel: a TLS connection of ours and an OpenSSL server, in memory. A test decides how the bytes
 * between them are cut, changed or withheld.
 */
#ifndef UNIT_CHANNEL_H
#define UNIT_CHANNEL_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"
#include "certs.h"
#include "config/section.h"
#include "tls/tls.h"
#include "tls/tlsthread.h"
#include "trust/policy.h"

/* How the server's records are cut: not at all, or into pieces of random sizes. */
#define CHUNK_ALL 0
#define CHUNK_RANDOM SIZE_MAX

struct learned;

/* What a test wants of the two sides. */
struct channel_setup {
    const char *keys;          /* further lines of the section */
    const struct cert *server; /* NULL: the pinned one */
    int version;               /* of the server; 0: any */
    const char *ciphers;       /* of the server, with SECLEVEL=0 */
    size_t chunk;
    bool raw_key; /* the server has a raw public key, and no certificate */
    bool psk;     /* the server and its ciphers know a shared key only */
    bool probe_only;
    bool heedless; /* OpenSSL continues after our callback has refused */
    bool lax;      /* the client's context offers anonymous and shared-key suites */
    bool unpinned; /* the section has no pin */
    int64_t now;   /* 0: CERTS_NOW */
    struct learned *learned;
    struct sessioncache *sessions;
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
    struct channel_setup setup;
    uint32_t seed;
    enum tls_result result; /* the last */
    bool open;
    uint8_t got[1 << 17]; /* plaintext at the client */
    size_t got_len;
    uint8_t seen[1 << 17]; /* plaintext at the server */
    size_t seen_len;
    uint64_t sent; /* bytes of records that came out of the engine */
};

/* Made by channel_group_setup(). */
struct channel_certs {
    struct cert pinned; /* the one that the section pins */
    struct cert other, weak, root;
};
extern struct channel_certs channel_certs;
extern struct tlsctx_set *channel_contexts;
extern struct anchors *channel_anchors;

/* TLS 1.2 and 1.3; and ways to cut. */
extern const int channel_versions[2];
extern const size_t channel_chunks[4];

int channel_group_setup(void **state);
int channel_group_teardown(void **state);

/*
 * Creates both sides, before any byte. shared is a thread that the test frees, or NULL if the
 * channel has one of its own. The caller frees the channel.
 */
struct channel *channel_new(const struct channel_setup *setup, struct tls_thread *shared);
void channel_free(struct channel *w);

/* Creates a channel and completes the handshake, which must open it. */
struct channel *channel_open(const struct channel_setup *setup);

/* Begins the handshake and runs it until nothing moves any more. */
void channel_start(struct channel *w);

/* Lets the client handle the records, or the end, that it was given. */
void channel_turn(struct channel *w);

/* Gives the client n bytes of records, in memory of exactly that size, and lets it handle them. */
void channel_put(struct channel *w, const void *bytes, size_t n);

/* Moves what the server has written to the client, in pieces. */
void channel_pump(struct channel *w);

/* Moves the client's records to the server, which reads what it can. */
void channel_carry(struct channel *w);

/* Returns true if the client has closed, failed, or waits for a key. */
bool channel_is_over(const struct channel *w);

/* Expects that the client failed for this reason, with part in the detail. */
void channel_expect_failure(struct channel *w, enum reason reason, const char *part);

/* Expects that no plaintext passes a connection that has failed. */
void channel_expect_shut(struct channel *w);

/* Expects the same of one that waits for the key of a first use to be stored. */
void channel_expect_waiting(struct channel *w);

#endif
