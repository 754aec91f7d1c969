/*
 * Connects a socket to one address that needs no look-up. The transports over Unix sockets and over
 * vsock are a connector and nothing more.
 *
 * While the backlog of a Unix socket is full, it tries again until it is cancelled: the owner has a
 * deadline. An address that this process listens on is refused.
 */
#ifndef NET_CONNECTOR_H
#define NET_CONNECTOR_H

#include "base/addr.h"
#include "net/transport.h"

/* Starts to connect to an address. ops are those of the transport. Returns NULL if memory is short. */
struct transport *connector_start(const struct transport_ops *ops, uv_loop_t *loop,
                                  const struct addr *to, struct transport_owner *owner);

/* Does nothing, for transport_ops: a connector borrows nothing from the section. */
void connector_set_section(struct transport *t, const struct config_section *section);

/* Ends a connector, for transport_ops. */
void connector_cancel(struct transport *t);

#endif
