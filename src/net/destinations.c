#include "net/destinations.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/util.h"
#include "config/section.h"
#include "net/dualstack.h"
#include "net/target.h"
#include "net/unreachable.h"

/* A target that is a name. */
struct destination_name {
    struct destinations *list;
    size_t target; /* an index: target_at() */
    struct dualstack addresses;
    TAILQ_ENTRY(destination_name) link;
};

static const char *const no_address[] = {
    "no IPv4 address, which family or bind requires",
    "no IPv6 address, which family or bind requires",
};

static const char *describe_no_address(const struct config_section *section)
{
    return no_address[target_family(section) == AF_INET6];
}

void destinations_init(struct destinations *l, struct resolver *resolver,
                       const struct config_section *section, const struct destinations_ops *ops)
{
    *l = (struct destinations){.ops = ops, .resolver = resolver, .section = section};
    TAILQ_INIT(&l->names);
}

static void drop_name(struct destinations *l, struct destination_name *n)
{
    TAILQ_REMOVE(&l->names, n, link);
    dualstack_end(&n->addresses);
    free(n);
}

static void on_changed(struct dualstack *addresses)
{
    struct destinations *l = container_of(addresses, struct destination_name, addresses)->list;

    l->ops->changed(l);
}

static void add_name(struct destinations *l, size_t target, uint64_t now)
{
    const struct config_target t = target_at(l->section, target);
    struct destination_name *n = calloc(1, sizeof(*n));

    if (!n) {
        l->ops->failed(l, t.host, "out of memory");
        return;
    }
    n->list = l;
    n->target = target;
    n->addresses.changed = on_changed;
    TAILQ_INSERT_TAIL(&l->names, n, link);
    dualstack_start(&n->addresses, l->resolver, t.host, target_family(l->section),
                    l->section->dns_ttl, now);
}

/* Keeps an address for later if it did not connect lately. Returns true if it did. */
static bool set_aside(struct destinations *l, const struct addr *a, uint64_t now)
{
    struct addr *more;

    if (!unreachable_has(a, now))
        return false;
    more = realloc(l->aside, (l->aside_count + 1) * sizeof(*more));
    if (!more)
        return false;
    l->aside = more;
    l->aside[l->aside_count++] = *a;
    return true;
}

/* Takes the next address of a name, which is dropped after its last one. */
static enum dualstack_next next_of_name(struct destinations *l, struct destination_name *n,
                                        uint64_t now, struct addr *address, uint64_t *wake)
{
    enum dualstack_next next;
    struct config_target t;

    do {
        next = dualstack_next(&n->addresses, now, address, wake);
        t = target_at(l->section, n->target);
        if (next == DUALSTACK_ADDRESS)
            addr_set_port(address, t.port);
    } while (next == DUALSTACK_ADDRESS && set_aside(l, address, now));
    if (next != DUALSTACK_END)
        return next;
    if (n->addresses.count == 0)
        l->ops->failed(l, t.host,
                       n->addresses.error ? n->addresses.error : describe_no_address(l->section));
    drop_name(l, n);
    return DUALSTACK_END;
}

/* Takes the next address of the names that were begun. */
static enum destinations_next next_of_names(struct destinations *l, uint64_t now,
                                            struct addr *address, uint64_t *wake)
{
    struct destination_name *n, *after;
    uint64_t until;

    for (n = TAILQ_FIRST(&l->names); n; n = after) {
        const uint64_t order = n->addresses.since + DESTINATIONS_STAGGER_MS;

        after = TAILQ_NEXT(n, link);
        switch (next_of_name(l, n, now, address, &until)) {
        case DUALSTACK_ADDRESS:
            return DESTINATIONS_ADDRESS;
        case DUALSTACK_WAIT:
            if (now < order && order < until)
                until = order;
            if (until < *wake)
                *wake = until;
            if (now < order)
                return DESTINATIONS_WAIT;
            break;
        case DUALSTACK_END:
            break;
        }
    }
    return DESTINATIONS_END;
}

/* Begins with the next target. Returns true if it is an address that is to be tried now. */
static bool begin_target(struct destinations *l, uint64_t now, struct addr *address)
{
    const size_t target = l->next_target++;
    const struct config_target t = target_at(l->section, target);
    const int family = target_family(l->section);

    if (!addr_from_ip(address, t.host, t.port)) {
        add_name(l, target, now);
        return false;
    }
    if (family != AF_UNSPEC && address->sa.sa_family != family) {
        l->ops->failed(l, t.host, describe_no_address(l->section));
        return false;
    }
    return !set_aside(l, address, now);
}

enum destinations_next destinations_next(struct destinations *l, uint64_t now, struct addr *address,
                                         uint64_t *wake)
{
    enum destinations_next next;

    *wake = UINT64_MAX;
    for (;;) {
        next = next_of_names(l, now, address, wake);
        if (next != DESTINATIONS_END)
            return next;
        if (l->next_target == target_count(l->section))
            break;
        if (begin_target(l, now, address))
            return DESTINATIONS_ADDRESS;
    }
    if (l->aside_next < l->aside_count) {
        *address = l->aside[l->aside_next++];
        return DESTINATIONS_ADDRESS;
    }
    return TAILQ_EMPTY(&l->names) ? DESTINATIONS_END : DESTINATIONS_WAIT;
}

size_t destinations_left(const struct destinations *l)
{
    size_t left = target_count(l->section) - l->next_target + l->aside_count - l->aside_next;
    const struct destination_name *n;

    TAILQ_FOREACH (n, &l->names, link)
        left += n->addresses.count - n->addresses.next;
    return left;
}

void destinations_set_section(struct destinations *l, const struct config_section *section)
{
    struct destination_name *n;

    l->section = section;
    TAILQ_FOREACH (n, &l->names, link)
        n->addresses.host = target_at(section, n->target).host;
}

void destinations_end(struct destinations *l)
{
    struct destination_name *n;

    while ((n = TAILQ_FIRST(&l->names)))
        drop_name(l, n);
    free(l->aside);
    l->aside = NULL;
    l->aside_count = l->aside_next = 0;
}
