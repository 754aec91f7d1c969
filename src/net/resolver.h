/*
 * Host names to addresses, with a memory. One a loop.
 *
 * Look-ups run in libuv's threads, which all hosts share: so one host has one look-up at a time
 * however many wait for it, and only so many run at once. An answer is used for as long as the
 * asker allows; when a new look-up fails, the last good answer stays in use.
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

struct resolver;
struct resolver_entry;

/* One who waits. Embedded in its owner; zeroed before use. */
struct resolver_request {
    void (*done)(struct resolver_request *r);
    struct addr addresses[RESOLVER_ADDRESSES_MAX]; /* without a port */
    size_t count;                                  /* 0: the look-up failed */
    const char *error;                             /* then, why */

    struct resolver_entry *entry; /* being waited for, or NULL */
    bool asking;                  /* in resolver_ask() now: answered by its return value */
    LIST_ENTRY(resolver_request) link;
};

/* NULL when memory is short. */
struct resolver *resolver_new(uv_loop_t *loop);

/* No new look-ups; frees itself when the last one under way is over. No request may be waiting. */
void resolver_close(struct resolver *r);

/*
 * Asks for the addresses of a host. family: AF_UNSPEC, AF_INET or AF_INET6; max_age in
 * milliseconds. True: the answer is in the request already. False: done() will be called.
 */
bool resolver_ask(struct resolver *r, const char *host, int family, int64_t max_age,
                  struct resolver_request *request);

/* done() will not be called. Harmless when nothing is under way. */
void resolver_cancel(struct resolver_request *request);

#endif
