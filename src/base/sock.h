/* Sockets as the daemon wants them: non-blocking, close-on-exec, quick, kept alive. */
#ifndef BASE_SOCK_H
#define BASE_SOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

/* A new stream socket for the address family, or -1 with errno. */
int sock_open(int family);

/*
 * Sets the options of a TCP socket: TCP_NODELAY, SO_OOBINLINE, and keepalive probes (tcp(7)) after
 * keepalive_ms of silence; 0 disables them. Does nothing for other families. An accepted socket
 * inherits them from its listener.
 */
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
 * Keeps other processes of this user off a port that sockets of this process share. The kernel
 * remembers the address of the last bind(2) with SO_REUSEPORT, and lets such a process bind that
 * address, and all addresses after a wildcard, without a look at the sockets that are there,
 * although these no longer have the option. This makes it remember an address that nobody uses. To
 * be called while every socket of this process on the port shares it.
 */
void sock_seal_port(uint16_t port);

/*
 * Delivers urgent data in line (socket(7), SO_OOBINLINE). An accepted Unix socket does not inherit
 * it.
 */
void sock_oob_inline(int fd);

/*
 * Returns how long, in milliseconds, it takes keepalive probes to find that a silent peer is gone:
 * the first probe, and the interval after each of them. 0 if keepalive_ms is 0.
 */
int64_t sock_keepalive_limit(int64_t keepalive_ms);

/* What a TCP socket waits for (tcp(7), TCP_INFO). */
struct sock_acks {
    bool pending;    /* something that was written has not been acknowledged */
    bool unanswered; /* data or a window probe was sent that the peer has not responded to */
    int64_t last_ms; /* since the peer's last acknowledgment of anything */
};

/* Fills in *out. Returns false if the kernel cannot tell: not a TCP socket, or not connected. */
bool sock_acks(int fd, struct sock_acks *out);

/* Returns the pending error of a socket (SO_ERROR, an errno value, or 0), and clears it. */
int sock_take_error(int fd);

/* Bytes that the kernel has not yet delivered to the peer; 0 when it cannot tell. */
int sock_unsent(int fd);

/* Returns the bytes that can be read at once; 0 if the kernel cannot tell. */
int sock_unread(int fd);

/* Returns true if the next read will return data. Does not clear a pending error (SO_ERROR). */
bool sock_has_unread(int fd);

/*
 * Makes a later close(2), or the end of the process, a reset (TCP). Data that is unsent then is
 * lost.
 */
void sock_reset_on_close(int fd);

/* close(2) so that the peer sees a reset (TCP); a plain close otherwise. */
void sock_close_reset(int fd);

/* True for the errors that mean: out of descriptors or memory, try again later. */
bool sock_error_is_shortage(int error);

#endif
