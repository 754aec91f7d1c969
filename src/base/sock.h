/* Sockets as the daemon wants them: non-blocking, close-on-exec, quick, kept alive. */
#ifndef BASE_SOCK_H
#define BASE_SOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

/* A new stream socket for the address family, or -1 with errno. */
int sock_open(int family);

/* TCP_NODELAY, and keepalive probes after that much silence (0: none). Unix sockets: nothing. */
void sock_tune(int fd, int family, int64_t keepalive_ms);

/*
 * Asks the kernel whether an IP address is one of this machine's. Costs a few system calls, unless
 * it is a loopback address.
 */
bool sock_is_local(const struct addr *a);

/*
 * Allows another socket of the same user to bind an address that overlaps with this one's
 * (SO_REUSEPORT in socket(7)), or forbids it again.
 */
void sock_share_port(int fd, bool share);

/*
 * Makes the kernel forget that sockets on this port have shared it. It remembers the last bind(2)
 * with SO_REUSEPORT for the port, and would let another process of this user bind without a look
 * at the sockets that are there, although they no longer have the option.
 */
void sock_seal_port(uint16_t port);

/* Bytes that the kernel has not yet delivered to the peer; 0 when it cannot tell. */
int sock_unsent(int fd);

/* close(2) so that the peer sees a reset (TCP); a plain close otherwise. */
void sock_close_reset(int fd);

/* True for the errors that mean: out of descriptors or memory, try again later. */
bool sock_error_is_shortage(int error);

#endif
