/*
 * Transports: the ways to connect to a section's server. A section's `via` selects one. A new
 * transport is a row of VIA_TRANSPORTS (config/via.h) and a file transport_NAME.c that defines the
 * operations below.
 *
 * Every transport ends by handing over a descriptor, and this includes TLS inside TLS, a section
 * that is reached over another section's connection: such a transport starts a tunnel of the other
 * section (tunnel_start()) on one end of a socket pair, as `pinproxy connect` does. When that tunnel
 * opens it hands over the other end, and when the tunnel is refused it fails. So an endpoint need
 * not become an interface with a descriptor behind one kind and an engine behind the other. The
 * other section's trust, limits, reloads and log lines are those of any tunnel, and its plaintext is
 * not in the thread's buffers while this section's engine uses them: an engine inside an engine
 * would need a second set of buffers in each thread. The price is two descriptors, and a copy
 * through the kernel in each direction.
 */
#ifndef NET_TRANSPORT_H
#define NET_TRANSPORT_H

#include <uv.h>

#include "base/reason.h"
#include "config/via.h"
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
 * A transport's operations, as the functions below have them. What start() returns begins with a
 * struct transport. It frees itself once the owner was called or cancel() was, and may outlive both:
 * handles have to be closed and look-ups to end.
 */
struct transport_ops {
    struct transport *(*start)(uv_loop_t *loop, struct resolver *resolver,
                               const struct config_section *section, struct transport_owner *owner);
    void (*set_section)(struct transport *t, const struct config_section *section);
    void (*cancel)(struct transport *t);
};

struct transport {
    const struct transport_ops *ops;
    struct transport_owner *owner; /* NULL: it was called, or has cancelled */
};

#define X(id, name) extern const struct transport_ops transport_##name;
VIA_TRANSPORTS(X)
#undef X

/*
 * Starts to connect to the section's server, by the transport that the section selects. Borrows the
 * section until it ends. Returns NULL if memory is short.
 */
struct transport *transport_start(uv_loop_t *loop, struct resolver *resolver,
                                  const struct config_section *section,
                                  struct transport_owner *owner);

/*
 * Replaces the section by one with the same server, which it borrows from now on in place of the
 * other.
 */
void transport_set_section(struct transport *t, const struct config_section *section);

/*
 * Ends it without a call of the owner. t may be NULL. Must not be called after the owner was.
 */
void transport_cancel(struct transport *t);

#endif
