/*
 * The addresses that this process listens on, for all threads: a connection to one of them would
 * come back in, and is refused before it is made (net/transport_tcp). An acceptor is here for as long as its
 * socket is open.
 */
#ifndef NET_LISTENING_H
#define NET_LISTENING_H

#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "base/addr.h"

/* One listening socket. Embedded by its owner. */
struct listening {
    LIST_ENTRY(listening) link;
    struct addr addr; /* as the kernel matches it: never IPv4-mapped */
    bool takes_ipv4;  /* a wildcard without IPV6_V6ONLY */
    dev_t dev;        /* Unix: the socket's file */
    ino_t ino;
    char *section; /* NULL: none */
};

/*
 * Adds a bound socket, before it listens. addr: as bound; section: the name, which is copied. dev
 * and ino must be set for a Unix socket.
 */
void listening_add(struct listening *l, int fd, const struct addr *addr, const char *section);

/* Changes the section that messages name. */
void listening_rename(struct listening *l, const char *section);

/* Removes a socket that has been closed. Does nothing if *l, zeroed, was never added. */
void listening_remove(struct listening *l);

/* Large enough for every text of listening_find(). */
#define LISTENING_TEXT_SIZE (ADDR_TEXT_SIZE + 512)

/*
 * Checks whether a connection to `to` would reach a socket of this process, however the address is
 * written: IPv4-mapped, the wildcard address (connect(2) takes it for this machine), an address of
 * this machine where a listener has the wildcard, a symbolic link to a Unix socket. from: where the
 * connection comes from (len 0: the kernel chooses). Returns true with the listener in text.
 */
bool listening_find(const struct addr *to, const struct addr *from, char text[LISTENING_TEXT_SIZE]);

#endif
