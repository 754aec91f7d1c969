/*
 * TLS as an engine: bytes in, bytes out. It never sees a socket, a loop or a clock, so any byte
 * stream can carry it.
 *
 *            records in  --> +-----+ --> plaintext out
 *         tls_put_records()  | tls |     tls_read()
 *                            |     |
 *           records out  <-- +-----+ <-- plaintext in
 *         tls_take_records()             tls_write()
 *
 * The records that the engine writes wait in a scratch that all connections of one thread share:
 * they must be taken after every call, a failed one too (alerts and key updates come out of reads).
 *
 * The two plaintext gates are shut until tls_handshake() has returned TLS_OK, which it does once,
 * at the one place in tls.c that has seen the handshake's end and a verdict of "trusted".
 *
 * Sessions are resumed where the section says so, and judged as a new connection would be.
 */
#ifndef TLS_TLS_H
#define TLS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"
#include "config/section.h"
#include "tls/certcache.h"
#include "tls/session.h"
#include "tls/tlsbio.h"
#include "trust/trust.h"

struct tls;

enum tls_result {
    TLS_OK,
    TLS_WANT_READ, /* needs records from the peer */
    TLS_CLOSED,    /* the peer has said close_notify: no more plaintext will come */
    TLS_TRUNCATED, /* the wire ended without it */
    TLS_FAILED,    /* tls_failure() says why; the connection is of no more use */
    TLS_FIRST_USE, /* of tls_handshake(): the server has proved its key, which nobody knows yet */
};

struct ssl_ctx_st; /* OpenSSL's SSL_CTX */

/* Makes a new context leave every question of trust to this module. */
void tls_install(struct ssl_ctx_st *ctx);

/*
 * A connection to be made under a policy and the section's settings, which must outlive it; and so
 * must the scratch, the cached certificates and the cache, which are its thread's. sessions:
 * where it takes a session from and puts new ones; NULL: nowhere. NULL when memory is short.
 */
struct tls *tls_new(struct ssl_ctx_st *ctx, const struct config_section *section,
                    const struct policy *policy, struct record_buffer *scratch,
                    struct certcache *certcache, struct session_cache *sessions);
void tls_free(struct tls *t);

/*
 * Replaces the policy of a connection that is not open, which must outlive it from now on: the
 * server is judged by it alone, in the midst of the handshake and after it. The section must be of
 * the same name. Where it is another trust than before, no session is kept, nor is one accepted
 * that the server resumes.
 */
void tls_set_policy(struct tls *t, const struct policy *policy);

/*
 * Gives the engine bytes from the wire. They are not copied and must stay until the engine has
 * used them up: until tls_handshake() or tls_read() has said TLS_WANT_READ.
 */
void tls_put_records(struct tls *t, const uint8_t *bytes, size_t n);

/* The wire has ended. What was put before is still read. */
void tls_put_end(struct tls *t);

/*
 * Records to be sent: returns how many bytes wait at *bytes, which are then the caller's until the
 * next call on any connection that shares the scratch.
 */
size_t tls_take_records(struct tls *t, const uint8_t **bytes);

/*
 * Goes on with the handshake. now: seconds since the epoch, for dates in certificates and pins.
 * After TLS_FIRST_USE it is to be called again once the key has been kept (learned.h): the server
 * is then judged anew. What the engine was given and has not used it has copied by then.
 */
enum tls_result tls_handshake(struct tls *t, int64_t now);

/* Reads plaintext into buf: as much as there is, so that TLS_WANT_READ or an end may come with bytes. */
enum tls_result tls_read(struct tls *t, uint8_t *buf, size_t size, size_t *got);

/*
 * Returns true if what was read so far ends where a record ends. Otherwise a TCP end behind it has
 * cut a record in two.
 */
bool tls_is_between_records(const struct tls *t);

/* Takes all of the plaintext, at most TLS_TURN_SIZE. */
enum tls_result tls_write(struct tls *t, const uint8_t *bytes, size_t n);

/*
 * Sends close_notify: no more plaintext will be written. Reading continues. It does nothing before
 * the end of the handshake and after an error; a server that was refused after the handshake gets
 * it.
 */
void tls_close_notify(struct tls *t);

/* Why it failed: a reason, and a detail for people that may quote the peer (not escaped). */
enum reason tls_failure(const struct tls *t, const char **detail);

/*
 * Returns what to say of a connection that the server has closed, or reset, in the handshake: a
 * literal.
 */
const char *tls_loss(const struct tls *t, bool is_reset);

const struct trust_verdict *tls_verdict(const struct tls *t);
const char *tls_version(const struct tls *t);
const char *tls_cipher(const struct tls *t);
bool tls_is_resumed(const struct tls *t);

/* The library in use, such as "OpenSSL 3.0.15 3 Sep 2024". */
const char *tls_library(void);

#endif
