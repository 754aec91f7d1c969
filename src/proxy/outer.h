/*
 * TLS inside TLS: connects to a section over a tunnel of another one, which `via = section:NAME`
 * names. NAME's host is an HTTPS proxy. Its tunnel is one like any other: its own policy judges the
 * proxy, it has its own log lines, and its thread reloads and ends it with the others. But nobody
 * has come by a listener: the client is one end of a socket pair. When the tunnel opens, and not
 * before, the other end becomes the connection of the section, where CONNECT and then TLS run.
 *
 * The tunnel is the attachment of that connection (net/stream.h). If it ends otherwise than in
 * order, the connection has failed, although a socket pair has no reset. If the connection is reset,
 * so is the tunnel.
 */
#ifndef PROXY_OUTER_H
#define PROXY_OUTER_H

struct section;
struct thread;
struct transport;
struct transport_owner;

/*
 * Starts to connect to a section that has an outer one, as transport_start() does. The thread must
 * have a list of tunnels (tunnels.h).
 */
struct transport *outer_start(struct thread *thread, const struct section *section,
                              struct transport_owner *owner);

#endif
