/*
 * A TLS client connection in memory: bytes in, bytes out. It never sees a socket, a loop or a
 * clock, so any byte stream can carry it.
 *
 *            records in  --> +-----+ --> plaintext out
 *         tls_put_records()  | tls |     tls_read()
 *                            |     |
 *           records out  <-- +-----+ <-- plaintext in
 *         tls_take_records()             tls_write()
 *
 * The connection writes its records to a buffer that all connections of a thread share. The caller
 * takes them after every call, also after one that failed: alerts and key updates come out of
 * reads.
 *
 * The two plaintext gates are shut until tls_handshake() has returned TLS_OK. It does so once, from
 * the one place in tls.c that has seen the end of the handshake and a verdict of "trusted".
 *
 * A session is resumed where the section permits it. A resumed connection is judged like a new one.
 */
#ifndef TLS_TLS_H
#define TLS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"

struct policy;
struct ssl_ctx_st; /* OpenSSL's SSL_CTX */
struct tls;
struct tls_thread;
struct trust_verdict;

enum tls_result {
    TLS_OK,
    TLS_WANT_READ, /* needs records from the peer */
    TLS_CLOSED,    /* the peer has sent close_notify: no more plaintext will come */
    TLS_TRUNCATED, /* the stream ended without close_notify */
    TLS_FAILED,    /* tls_failure() says why; the connection cannot be used any more */
    TLS_FIRST_USE, /* of tls_handshake(): the server has proved a key that no pin names yet */
};

/* Makes a new context leave every decision about trust to this module. */
void tls_install(struct ssl_ctx_st *ctx);

/*
 * Creates a connection with the settings of the policy's section. ctx, policy and thread are
 * borrowed and must outlive it. resume permits to resume and to store sessions, if the section does
 * too. Returns NULL if memory is short. The caller frees it with
 * tls_free().
 */
struct tls *tls_new(struct ssl_ctx_st *ctx, const struct policy *policy, struct tls_thread *thread,
                    bool resume);
void tls_free(struct tls *t);

/*
 * Replaces the policy of a connection that is not open. The new policy must be of a section of the
 * same name, and must outlive the connection. The server is judged by it alone, during the
 * handshake and after it. If it differs in trust from the old one, no session is stored, and none
 * that the server resumes is accepted.
 */
void tls_set_policy(struct tls *t, const struct policy *policy);

/*
 * Judges the server of an open connection again, by this policy (as tls_set_policy() has it) and at
 * this time, in seconds since the epoch. Returns TLS_OK, or TLS_FAILED with both gates shut for
 * good.
 */
enum tls_result tls_judge_again(struct tls *t, const struct policy *policy, int64_t now);

/*
 * Gives the connection n bytes of records from the peer. They are borrowed until tls_handshake() or
 * tls_read() returns TLS_WANT_READ.
 */
void tls_put_records(struct tls *t, const uint8_t *bytes, size_t n);

/* Says that the stream from the peer has ended. Records that were put before are still read. */
void tls_put_end(struct tls *t);

/*
 * Returns the number of bytes of records to send. They are at *bytes, borrowed until the next call
 * on any connection of the thread.
 */
size_t tls_take_records(struct tls *t, const uint8_t **bytes);

/*
 * Continues the handshake. now is in seconds since the epoch, for the dates of certificates and
 * pins. After TLS_FIRST_USE the caller stores the key (learned.h) and calls it again: the server is
 * then judged by the stored key. The connection has then copied the records that it has not read.
 */
enum tls_result tls_handshake(struct tls *t, int64_t now);

/*
 * Reads as much plaintext as there is, at most size bytes, and sets *got. TLS_WANT_READ and an end
 * may come together with bytes.
 */
enum tls_result tls_read(struct tls *t, uint8_t *buf, size_t size, size_t *got);

/*
 * Returns true if what was read so far ends where a record ends. Otherwise the end of the stream
 * has cut a record in two.
 */
bool tls_is_between_records(const struct tls *t);

/* Writes n bytes of plaintext, at most TLS_TURN_SIZE. It takes all of them, or fails. */
enum tls_result tls_write(struct tls *t, const uint8_t *bytes, size_t n);

/*
 * Sends close_notify: no more plaintext will be written. Reading continues. Does nothing before the
 * end of the handshake and after an error. A server that was refused after the handshake gets it.
 */
void tls_close_notify(struct tls *t);

/*
 * Returns why the connection failed. *detail is for people, or "". It may quote the peer, is not
 * escaped, and is borrowed until the connection is freed.
 */
enum reason tls_failure(const struct tls *t, const char **detail);

/*
 * Returns in words that the server has closed or reset the connection during the handshake. The
 * text is static.
 */
const char *tls_loss(const struct tls *t, bool is_reset);

/*
 * Returns the latest verdict on the server, borrowed until the next tls_handshake(),
 * tls_set_policy() or tls_free().
 */
const struct trust_verdict *tls_verdict(const struct tls *t);

/* Return names as OpenSSL has them, such as "TLSv1.3" and "TLS_AES_256_GCM_SHA384". Static. */
const char *tls_version(const struct tls *t);
const char *tls_cipher(const struct tls *t);

/*
 * Returns the group of the key agreement, by the name that the option `groups` takes, such as
 * "X25519", "P-256" or "X25519MLKEM768". Returns "" if there is none, as in a resumed session of
 * TLS 1.2. Static.
 */
const char *tls_group(const struct tls *t);

bool tls_is_resumed(const struct tls *t);

/* Returns whether the server has asked for a client certificate. */
bool tls_is_asked(const struct tls *t);

/*
 * Returns whether the server may still refuse the client's certificate, or that there is none. Over
 * TLS 1.3 its answer comes after the handshake: a session ticket if it accepts, or else an alert,
 * and tls_read() then fails with REASON_CLIENT_CERT. Some servers send no ticket.
 */
bool tls_awaits_acceptance(const struct tls *t);

/* Returns the library in use, such as "OpenSSL 3.0.15 3 Sep 2024". Static. */
const char *tls_library(void);

#endif
