/*
 * Host names to addresses, with a memory that all loops of the process share: one that is asked for
 * by many has one look-up at a time, and what one has learned serves all.
 *
 * An answer is used for as long as the asker allows. When a new look-up fails, or has not ended
 * within a second, the last good answer is used; the look-up goes on, and serves those who ask
 * next. Look-ups belong to the process and outlive a loop.
 */
#ifndef NET_RESOLVER_H
#define NET_RESOLVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

#include "base/addr.h"

#define RESOLVER_ADDRESSES_MAX 16

struct resolver; /* one loop's part */
struct resolver_entry;

/* One who waits, on the loop's thread. Embedded in its owner; zeroed before use. */
struct resolver_request {
    void (*done)(struct resolver_request *r);
    struct addr addresses[RESOLVER_ADDRESSES_MAX]; /* without a port */
    size_t count;                                  /* 0: the look-up failed */
    const char *error;                             /* then, why; valid for good */

    struct resolver *resolver;    /* NULL: nothing is under way */
    struct resolver_entry *entry; /* that is being looked up, or NULL: answered, not told yet */
    TAILQ_ENTRY(resolver_request) link; /* in the entry, or in the resolver's answered ones */
    LIST_ENTRY(resolver_request) asked; /* in the resolver */
};

/* Stores *out and returns zero, or returns a libuv error. */
int resolver_new(uv_loop_t *loop, struct resolver **out);

/*
 * Closes its handles; it frees itself when the loop has seen to that. No request may be waiting.
 * With the last resolver of the process its memory of names goes as well.
 */
void resolver_close(struct resolver *r);

/*
 * Asks for the addresses of a host. family: AF_UNSPEC, AF_INET or AF_INET6; max_age in
 * milliseconds. True: the answer is in the request already. False: done() will be called, from the
 * loop.
 */
bool resolver_ask(struct resolver *r, const char *host, int family, int64_t max_age,
                  struct resolver_request *request);

/* done() will not be called. Harmless when nothing is under way. */
void resolver_cancel(struct resolver_request *request);

#endif
