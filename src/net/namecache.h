/*
 * The cache of looked-up names. It belongs to the process. All functions must be called with the
 * resolver's lock held.
 */
#ifndef NET_NAMECACHE_H
#define NET_NAMECACHE_H

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/addr.h"
#include "net/lookup.h"

/* If there is an old answer, a new one is awaited for this time. */
#define NAMECACHE_LATE_MS 1000

/* Names in the cache. Beyond that, the least recently used name is dropped. */
#define NAMECACHE_NAMES_MAX 16384

/* The addresses of an answer. */
#define NAMECACHE_ADDRESSES_MAX 16

struct resolver_request;

/* A name, for one family. Times are those of uv_now(), in milliseconds. */
struct cached_name {
    char *host;
    int family;
    struct addr *addresses; /* of the last good answer */
    size_t count;
    const char *error;    /* if there was none */
    bool denied;          /* the last look-up's answer was that there is no address */
    uint64_t resolved_at; /* if count > 0 */
    uint64_t failed_at;   /* 0: the last look-up did not fail */
    uint64_t started_at;  /* of the look-up that runs */
    bool looking;         /* the look-up runs, or waits for room */
    bool forgotten;       /* in no list: freed when the look-up ends */
    struct lookup lookup; /* its done() is set by the resolver */
    TAILQ_HEAD(, resolver_request) requests;
    LIST_ENTRY(cached_name) link;
    TAILQ_ENTRY(cached_name) age;
};

/* Returns the name, or NULL if it is not in the cache. */
struct cached_name *namecache_find(const char *host, int family);

/* Returns the name, which is added if it is not in the cache; or NULL if memory is short. */
struct cached_name *namecache_add(const char *host, int family);

/* Drops all names. Those that are looked up are freed by namecache_set(). */
void namecache_clear(void);

/*
 * Returns true if the answer that is known is used at once: it is at most max_age milliseconds
 * old; or the look-up that runs is late; or the last one failed a moment ago.
 */
bool namecache_is_usable(const struct cached_name *n, uint64_t now, int64_t max_age);

/* Returns true if the look-up that runs has taken longer than NAMECACHE_LATE_MS. */
bool namecache_is_late(const struct cached_name *n, uint64_t now);

/*
 * Ends the look-up of a name with the result of getaddrinfo(3). error is NULL, or a static text;
 * denied says that the error is the answer that there is no address. The last good answer outlives
 * an error.
 */
void namecache_set(struct cached_name *n, const char *error, bool denied,
                   const struct addrinfo *list, uint64_t now);

/* Frees a name that was dropped while it was looked up. Does nothing for others. */
void namecache_release(struct cached_name *n);

#endif
