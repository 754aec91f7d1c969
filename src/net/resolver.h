/*
 * Resolves host names to addresses, with a cache that all loops of the process share. At most one
 * look-up of a name runs at a time, and its answer serves every loop.
 *
 * The caller sets the age up to which an answer is used. If a new look-up fails, or takes longer
 * than a second, the last good answer is used; the look-up continues, and serves later requests.
 * Look-ups belong to the process and may outlive a loop.
 */
#ifndef NET_RESOLVER_H
#define NET_RESOLVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

#include "base/addr.h"
#include "net/namecache.h"

#define RESOLVER_ADDRESSES_MAX NAMECACHE_ADDRESSES_MAX

struct resolver; /* the part of one loop */

/* A request, on the thread of the loop. Embedded by its owner, and zeroed before use. */
struct resolver_request {
    void (*done)(struct resolver_request *r);
    struct addr addresses[RESOLVER_ADDRESSES_MAX]; /* without a port */
    size_t count;                                  /* 0: the look-up failed */
    const char *error;                             /* why it failed; never freed */
    bool temporary; /* the error may not be the name server's answer, and may not last */
    uint64_t since; /* while it waits: when the look-up began, in the time of uv_now() */
    bool again;     /* set by the owner: the host is being looked up for another family as well */

    struct resolver *resolver; /* NULL: it waits for nothing */
    struct cached_name *name;  /* that is looked up; NULL: answered, done() is to be called */
    TAILQ_ENTRY(resolver_request) link; /* in the name, or in the resolver's answered requests */
    LIST_ENTRY(resolver_request) asked; /* in the resolver */
};

/* Creates the resolver of a loop. Returns 0 after setting *out, or a libuv error code. */
int resolver_new(uv_loop_t *loop, struct resolver **out);

/*
 * Closes a resolver, which frees itself when the loop has closed its handles. No request may be
 * waiting. The last resolver of the process also frees the cache.
 */
void resolver_close(struct resolver *r);

/*
 * Requests the addresses of a host. family is AF_UNSPEC, AF_INET or AF_INET6; max_age is in
 * milliseconds. Returns true if the request has the answer already. Otherwise done() is called
 * later, from the loop.
 */
bool resolver_ask(struct resolver *r, const char *host, int family, int64_t max_age,
                  struct resolver_request *request);

/*
 * Copies an answer that is known to a request, which then waits for nothing. Returns false if there
 * is no answer that resolver_ask() would use.
 */
bool resolver_find(struct resolver *r, const char *host, int family, int64_t max_age,
                   struct resolver_request *request);

/* Cancels a request: done() is not called. Has no effect if the request waits for nothing. */
void resolver_cancel(struct resolver_request *request);

#endif
