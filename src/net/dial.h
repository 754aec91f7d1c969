/*
 * A dial: from a section's host to a connected stream. Resolves, and tries one address after the
 * other; when one is slow, the next is started beside it (RFC 8305 section 5), and the first to
 * connect wins. An object of its own: its look-up and handles may outlive whoever asked.
 *
 * Three addresses at most are tried at once. When more are left, the oldest attempt gives way to
 * the next one after its share of connect_timeout: 1.5 seconds at most, so that one SYN that was
 * lost is sent again (RFC 6298), and 250 ms for each of the attempts at least. With the default
 * timeout the seventeenth address is tried after 7.75 seconds, when sixteen are silent.
 */
#ifndef NET_DIAL_H
#define NET_DIAL_H

#include <stdint.h>
#include <uv.h>

#include "base/reason.h"
#include "config/section.h"
#include "net/resolver.h"
#include "net/stream.h"

struct dial;

/* Embedded by whoever asks. One of the two is called, once, and never from within dial_start(). */
struct dial_owner {
    /* The owner takes ownership of the stream. */
    void (*connected)(struct dial_owner *owner, const struct stream *stream);
    /* detail holds each address that was tried and what became of it. */
    void (*failed)(struct dial_owner *owner, enum reason reason, const char *detail);
};

/*
 * Sets how many attempts all dials of the process together may have in flight beyond one each:
 * these take descriptors that no tunnel accounts for. Without a call there is no such limit. From
 * any thread.
 */
void dial_set_spare(int64_t attempts);

/* NULL when memory is short. The section must live until the dial ends or is cancelled. */
struct dial *dial_start(uv_loop_t *loop, struct resolver *resolver,
                        const struct config_section *section, struct dial_owner *owner);

/*
 * The section has been replaced by one with the same places to dial, which must live as the old one
 * had to; the dial uses the old one no more.
 */
void dial_set_section(struct dial *d, const struct config_section *section);

/* Neither callback will be called. d may be NULL; once a callback has run, it must not be used. */
void dial_cancel(struct dial *d);

#endif
