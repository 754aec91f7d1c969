/*
 * Dials a section: makes a TCP connection to its server. A dial tries one address after the other,
 * in the order of net/destinations. While one is slow, the next one is tried as well (RFC 8305
 * section 5), and the first that connects wins.
 *
 * At most three addresses are tried at once. If more are left, the oldest attempt ends after its
 * share of connect_timeout, and the next address is tried. The share is at most 1.5 seconds, in
 * which a lost SYN is sent again (RFC 6298), and at least 250 ms for each of the attempts. With the
 * default timeout, the seventeenth address is tried after 7.75 seconds if sixteen are silent.
 */
#ifndef NET_DIAL_H
#define NET_DIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/addr.h"
#include "base/reason.h"
#include "net/attempts.h"
#include "net/destinations.h"
#include "net/stream.h"

struct config_section;
struct dial;
struct resolver;

#define DIAL_DETAIL_SIZE 512

/*
 * The calls of a dial. One of connected() and failed() is called, once, and never within
 * dial_start(). After it, or after dial_cancel(), closed() is called from the loop.
 */
struct dial_ops {
    /* The stream is connected. The callee takes ownership of it. */
    void (*connected)(struct dial *d, const struct stream *stream);
    /* detail lists each address that was tried, and why it failed; valid within the call. */
    void (*failed)(struct dial *d, enum reason reason, const char *detail);
    /* Every handle of the dial is closed: its memory may be freed. */
    void (*closed)(struct dial *d);
};

/* Embedded by the owner. */
struct dial {
    const struct dial_ops *ops;
    uv_loop_t *loop;
    const struct config_section *section;
    struct destinations destinations;
    struct addr address; /* to be tried next */
    bool has_address;
    uint64_t next_at;    /* loop time: when the next attempt may start while others run */
    uint64_t started_at; /* loop time */
    struct attempts attempts;
    uv_timer_t timer;
    int holds; /* handles not yet closed */

    enum reason reason;
    char detail[DIAL_DETAIL_SIZE];
};

/* Starts a dial in zeroed memory. Borrows the section until the dial has ended. */
void dial_start(struct dial *d, uv_loop_t *loop, struct resolver *resolver,
                const struct config_section *section, const struct dial_ops *ops);

/* Replaces the section by another one with the same server, and borrows that one instead. */
void dial_set_section(struct dial *d, const struct config_section *section);

/* Ends a dial that has not ended yet. Only closed() is called after it. */
void dial_cancel(struct dial *d);

#endif
