/*
 * Transports: the ways to connect to a section's server. A section's `via` selects one
 * (proxy/ways.h). A new transport is a file transport_NAME.c that defines the operations below.
 *
 * Every transport hands over a descriptor in the end. One is not here: that for TLS inside TLS, which
 * starts a tunnel of another section, is in proxy/outer.h.
 */
#ifndef NET_TRANSPORT_H
#define NET_TRANSPORT_H

#include <uv.h>

#include "base/reason.h"
#include "net/stream.h"

struct config_section;
struct resolver;

/* One connection that is being made. */
struct transport;

/* Embedded by the owner. One of the two is called, once, and never within transport_start(). */
struct transport_owner {
    /* The stream is connected. The owner takes ownership of it. */
    void (*connected)(struct transport_owner *owner, const struct stream *stream);
    /* detail lists each address that was tried, and why it failed; valid within the call. */
    void (*failed)(struct transport_owner *owner, enum reason reason, const char *detail);
};

/*
 * The operations of a transport: see the functions of the same names below. start() returns the
 * first member of a larger struct. After a call of the owner, or of cancel(), the transport frees
 * itself as soon as its handles are closed and its look-ups have ended.
 */
struct transport_ops {
    struct transport *(*start)(uv_loop_t *loop, struct resolver *resolver,
                               const struct config_section *section, struct transport_owner *owner);
    void (*set_section)(struct transport *t, const struct config_section *section);
    void (*cancel)(struct transport *t);
};

struct transport {
    const struct transport_ops *ops;
    struct transport_owner *owner; /* NULL: it was called, or it has cancelled */
    const char *obstacle;          /* what it waits for, to explain a timeout; NULL: nothing */
};

extern const struct transport_ops transport_tcp;
extern const struct transport_ops transport_unix;
extern const struct transport_ops transport_vsock;
extern const struct transport_ops transport_exec;
extern const struct transport_ops transport_serial;

/*
 * Starts to connect to a section's server. Borrows the section until the owner is called. Returns
 * NULL if memory is short.
 */
struct transport *transport_start(const struct transport_ops *ops, uv_loop_t *loop,
                                  struct resolver *resolver, const struct config_section *section,
                                  struct transport_owner *owner);

/* Replaces the section by another one with the same server, and borrows that one instead. */
void transport_set_section(struct transport *t, const struct config_section *section);

/* Ends a transport without a call of its owner, who was not called yet. t may be NULL. */
void transport_cancel(struct transport *t);

#endif
