/*
 * The addresses that a dial tries, one by one, in their order.
 *
 * The targets of a section are tried in the order of the configuration, and the addresses of a
 * name in that of net/dualstack. If a name has no answer after 250 ms, the next target is tried;
 * an answer that comes later is used before the targets that follow. Addresses that did not connect
 * lately (net/unreachable) come after all others.
 */
#ifndef NET_DESTINATIONS_H
#define NET_DESTINATIONS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/addr.h"

struct config_section;
struct destination_name;
struct destinations;
struct resolver;

/* How long the next address waits for the one before it (RFC 8305 section 5), in milliseconds. */
#define DESTINATIONS_STAGGER_MS 250

struct destinations_ops {
    /* An answer has come: destinations_next() may have an address. Called from the loop. */
    void (*changed)(struct destinations *l);
    /* A target has no address. Called within destinations_next(). */
    void (*failed)(struct destinations *l, const char *host, const char *why);
};

/* Embedded by the owner. */
struct destinations {
    const struct destinations_ops *ops;
    struct resolver *resolver;
    const struct config_section *section;
    size_t next_target;                   /* an index: target_at() */
    TAILQ_HEAD(, destination_name) names; /* that have more addresses, or may have */
    struct addr *aside;                   /* did not connect lately */
    size_t aside_count;
    size_t aside_next;
};

enum destinations_next {
    DESTINATIONS_ADDRESS, /* *address is to be tried */
    DESTINATIONS_WAIT,    /* until changed() is called, or until *wake */
    DESTINATIONS_END,
};

/* Initialises a list in memory of any content. Borrows the section. */
void destinations_init(struct destinations *l, struct resolver *resolver,
                       const struct config_section *section, const struct destinations_ops *ops);

/*
 * Takes the next address, with its port. now is the time of the loop. If there is none yet, *wake
 * is the time at which this is to be called again, or UINT64_MAX.
 */
enum destinations_next destinations_next(struct destinations *l, uint64_t now, struct addr *address,
                                         uint64_t *wake);

/* Returns the number of addresses and targets that are left, as far as is known. */
size_t destinations_left(const struct destinations *l);

/* Replaces the section by another one with the same server, and borrows that one instead. */
void destinations_set_section(struct destinations *l, const struct config_section *section);

/* Ends all look-ups, and frees what the list has. */
void destinations_end(struct destinations *l);

#endif
