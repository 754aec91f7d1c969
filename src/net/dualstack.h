/*
 * Looks up the addresses of a name for a dial, in both families (RFC 8305 sections 3 and 4).
 *
 * One getaddrinfo(3) for both families asks the two questions at the same time, and its answer is
 * all that the system has decided: nsswitch.conf(5), hosts(5), gai.conf(5) and the order of
 * RFC 6724. (Two calls would ask a name server for the family that hosts(5) does not have.) But it
 * waits for both answers. So if it has not ended after 50 ms, the Resolution Delay of the RFC, each
 * family is looked up by itself as well. The first answer is used, and later ones add to it. A
 * family whose question is not answered delays the other one by 50 ms, and only once: an answer
 * for one family is cached as any other.
 */
#ifndef NET_DUALSTACK_H
#define NET_DUALSTACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "net/resolver.h"

#define DUALSTACK_ADDRESSES_MAX (2 * RESOLVER_ADDRESSES_MAX)

struct apart;

/* Embedded by the owner. */
struct dualstack {
    /* An answer has come: dualstack_next() may have more. Called from the loop. */
    void (*changed)(struct dualstack *n);
    struct resolver *resolver;
    const char *host; /* borrowed */
    int family;       /* AF_UNSPEC: both */
    int64_t max_age;
    uint64_t since; /* loop time: when the look-up began, perhaps for somebody else */
    struct resolver_request request;
    bool pending;        /* the request is */
    struct apart *apart; /* the look-ups of each family; NULL: not necessary so far */
    struct addr addresses[DUALSTACK_ADDRESSES_MAX]; /* without a port */
    size_t count;
    size_t next;       /* those before it were tried */
    const char *error; /* why there is no address; never freed */
};

enum dualstack_next {
    DUALSTACK_ADDRESS, /* *address is to be tried now */
    DUALSTACK_WAIT,    /* changed() will be called, or is not called before *wake */
    DUALSTACK_END,     /* all addresses were tried */
};

/*
 * Begins to look up a host in zeroed memory. family is AF_UNSPEC, AF_INET or AF_INET6; now is the
 * time of the loop; max_age is that of resolver_ask(). changed() is not called within this.
 */
void dualstack_start(struct dualstack *n, struct resolver *resolver, const char *host, int family,
                     int64_t max_age, uint64_t now);

/*
 * Takes the next address. If there is none yet, *wake is the time at which this is to be called
 * again, or UINT64_MAX.
 */
enum dualstack_next dualstack_next(struct dualstack *n, uint64_t now, struct addr *address,
                                   uint64_t *wake);

/* Ends all look-ups: changed() is not called any more. */
void dualstack_end(struct dualstack *n);

#endif
