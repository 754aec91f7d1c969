/*
 * TLS sessions kept for resumption: a cache for each thread. What is kept was trusted when it was
 * made; whether it still is, whoever resumes it judges anew (tls.c). A session is taken out to be
 * used, so that a ticket is used once (RFC 8446 appendix C.4), and serves for an hour at most after
 * the full handshake that it goes back to.
 */
#ifndef TLS_SESSION_H
#define TLS_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trust/policy.h"

struct ssl_session_st; /* OpenSSL's SSL_SESSION */
struct stack_st_X509;

struct session {
    struct ssl_session_st *tls;  /* a reference; NULL: none */
    struct stack_st_X509 *chain; /* what the server presented then, a reference */
    uint8_t *staple;             /* the OCSP response of that handshake, or NULL */
    size_t staple_len;
    int64_t established; /* the full handshake, in seconds since the epoch */
};

struct session_cache;

/* NULL when memory is short. */
struct session_cache *session_cache_new(void);
void session_cache_free(struct session_cache *c);

/*
 * Takes ownership of a session that was made under this policy. It may be freed at once. A section
 * has 32 sessions and 512 KiB at most, all together have 1024 and 8 MiB; older ones are dropped to
 * make room.
 */
void session_put(struct session_cache *c, const struct policy *policy, struct session *s);

/* Takes the newest one of this policy out. False when there is none that can be resumed now. */
bool session_take(struct session_cache *c, const struct policy *policy, int64_t now,
                  struct session *out);

/*
 * Drops the sessions of policies that have gone: those whose section stays() does not want with
 * that fingerprint.
 */
void session_sweep(struct session_cache *c,
                   bool stays(const char *section, const uint8_t *policy_id, const void *arg),
                   const void *arg);

/* Returns how many bytes the sessions have in all, by what the servers have sent for them. */
size_t session_cache_size(const struct session_cache *c);

void session_clear(struct session *s);

#endif
