/*
 * The addresses that this process listens on, for all threads. A connection to one of them would
 * come back as a client; a dial refuses to make it. Each acceptor is listed while its socket
 * is open.
 */
#ifndef NET_LISTENING_H
#define NET_LISTENING_H

#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "base/addr.h"

/* A listening socket. Embedded by its owner. */
struct listening {
    LIST_ENTRY(listening) link;
    struct addr addr; /* as the kernel matches it: never IPv4-mapped */
    bool takes_ipv4;  /* an IPv6 wildcard without IPV6_V6ONLY */
    dev_t dev;        /* the file of a Unix socket */
    ino_t ino;
    char *section; /* NULL: none */
};

/*
 * Adds a bound socket, before it listens. addr is the address that it is bound to. section is the
 * name of its section, which is copied, or NULL. dev and ino must be set for a Unix socket.
 */
void listening_add(struct listening *l, int fd, const struct addr *addr, const char *section);

/* Replaces the name of the section, which is copied. */
void listening_rename(struct listening *l, const char *section);

/* Removes a socket that was closed. Does nothing if *l is zeroed, and was never added. */
void listening_remove(struct listening *l);

/* Large enough for every text of listening_find(). */
#define LISTENING_TEXT_SIZE (ADDR_TEXT_SIZE + 512)

/*
 * Checks whether a connection to the address `to` would reach a socket of this process. It
 * recognises every form of an address: an IPv4-mapped one, the wildcard address (which connect(2)
 * takes for this machine), an address of this machine if a listener has the wildcard, a symbolic
 * link to a Unix socket. `from` is the source address; its len is 0 if the kernel chooses it.
 * Returns true after describing the listener in text.
 */
bool listening_find(const struct addr *to, const struct addr *from, char text[LISTENING_TEXT_SIZE]);

#endif
