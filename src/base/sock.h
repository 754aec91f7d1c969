/* Creates sockets, sets their options, and reads their state. */
#ifndef BASE_SOCK_H
#define BASE_SOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

/* Returns a new stream socket, non-blocking and close-on-exec; or -1 with errno. */
int sock_open(int family);

/*
 * Sets the options of a TCP socket: TCP_NODELAY, SO_OOBINLINE, and keepalive probes (tcp(7)) after
 * keepalive_ms of silence; 0 disables them. Does nothing for other families. An accepted socket
 * inherits them from its listener.
 */
void sock_tune(int fd, int family, int64_t keepalive_ms);

/*
 * Returns true if an IP address is one of this machine's. This takes a few system calls, unless it
 * is a loopback address.
 */
bool sock_is_local(const struct addr *a);

/*
 * Permits that another socket of the same user binds an overlapping address (SO_REUSEPORT in
 * socket(7)), or forbids it again.
 */
void sock_share_port(int fd, bool share);

/*
 * Prevents other processes of this user from binding a port that sockets of this process share. The
 * kernel remembers the address of the last bind(2) with SO_REUSEPORT. It lets such a process bind
 * that address, or any address if it was a wildcard, without checking whether the sockets on it
 * still have the option. This call makes it remember an address that nobody uses. To be called
 * while every socket of this process on the port shares it.
 */
void sock_seal_port(uint16_t port);

/*
 * Delivers urgent data in line (socket(7), SO_OOBINLINE). An accepted Unix socket does not inherit
 * it.
 */
void sock_oob_inline(int fd);

/*
 * Enlarges the send buffer of a Unix socket to some turns of records, as far as the kernel permits
 * (socket(7), SO_SNDBUF and wmem_max), so that little of a turn is left to send later. TCP does so
 * by itself.
 */
void sock_widen(int fd);

/*
 * Returns how many milliseconds keepalive probes take to detect that a silent peer is lost: the
 * time before the first probe, and the interval after each of them. Returns 0 if keepalive_ms is 0.
 */
int64_t sock_keepalive_limit(int64_t keepalive_ms);

/* The acknowledgments of a TCP peer (tcp(7), TCP_INFO). */
struct sock_acks {
    bool pending;    /* something that was written has not been acknowledged */
    bool unanswered; /* data or a window probe was sent that the peer has not responded to */
    int64_t last_ms; /* since the peer's last acknowledgment of anything */
};

/* Fills in *out. Returns false if the socket is not TCP, or not connected. */
bool sock_acks(int fd, struct sock_acks *out);

/* Returns the pending error of a socket (SO_ERROR, an errno value, or 0), and clears it. */
int sock_take_error(int fd);

/*
 * Returns true if a socket is connected to itself. A connect to a port of this machine on which no
 * program listens ends so if the kernel chooses this port as the source: TCP simultaneous open,
 * RFC 9293 section 3.5.
 */
bool sock_is_self_connected(int fd);

/* Returns the bytes that the peer has not acknowledged, or 0 if that is unknown. */
int sock_unsent(int fd);

/* Returns the bytes that can be read at once, or 0 if that is unknown. */
int sock_unread(int fd);

/* Returns true if the next read will return data. Does not clear a pending error (SO_ERROR). */
bool sock_has_unread(int fd);

/*
 * Makes a later close(2), or the end of the process, reset the connection (TCP). Unsent data is
 * then lost.
 */
void sock_reset_on_close(int fd);

/* Closes fd, and resets the connection if it is TCP. */
void sock_close_reset(int fd);

/* Returns true for an errno that says that descriptors or memory are short for now. */
bool sock_error_is_shortage(int error);

#endif
