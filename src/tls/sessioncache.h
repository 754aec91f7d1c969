/*
 * A cache of resumable TLS sessions for each thread. The server of a stored session was trusted when it was
 * stored; tls.c judges it again when it is resumed. A session leaves the cache when it is used, so
 * that a ticket is used once (RFC 8446 appendix C.4). It can be used for an hour after its full
 * handshake.
 */
#ifndef TLS_SESSIONCACHE_H
#define TLS_SESSIONCACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trust/policy.h"

struct ssl_session_st; /* OpenSSL's SSL_SESSION */
struct stack_st_X509;

struct sessioncache_item {
    struct ssl_session_st *tls; /* a reference; NULL: none */
    struct stack_st_X509
        *chain;      /* the certificates of the full handshake, a reference; NULL: a raw key */
    uint8_t *staple; /* its OCSP response, or NULL */
    size_t staple_len;
    int64_t established; /* when it was, in seconds since the epoch */
};

struct sessioncache;

/* Returns an empty cache, or NULL if memory is short. */
struct sessioncache *sessioncache_new(void);
void sessioncache_free(struct sessioncache *c);

/*
 * Stores a session that was made under this policy, and takes ownership of it. A section can have
 * 32 sessions and 512 KiB, all sections together 1024 and 8 MiB. Older ones are dropped to make
 * room. A session that is too large is freed at once.
 */
void sessioncache_put(struct sessioncache *c, const struct policy *policy,
                      struct sessioncache_item *s);

/*
 * Removes the newest session of this policy from the cache and moves it to out, which the caller
 * clears. Returns false if there is none that can be resumed now.
 */
bool sessioncache_take(struct sessioncache *c, const struct policy *policy, int64_t now,
                       struct sessioncache_item *out);

/*
 * Drops the sessions of each policy for which is_current() returns false. It gets the name of the
 * section, the policy's id and arg.
 */
void sessioncache_sweep(struct sessioncache *c,
                        bool is_current(const char *section, const uint8_t *policy_id,
                                        const void *arg),
                        const void *arg);

/* Returns the size of all sessions, as the number of bytes that the servers sent for them. */
size_t sessioncache_size(const struct sessioncache *c);

/* Frees what a session refers to, and zeroes it. */
void sessioncache_item_clear(struct sessioncache_item *s);

#endif
