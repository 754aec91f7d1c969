/* Socket addresses: reading, printing, comparing. IP and Unix. */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct addr {
    socklen_t len; /* 0: none */
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    };
};

/* "unix:" and a path, or an IPv6 literal in brackets with a port, whichever is longer. */
#define ADDR_TEXT_SIZE (sizeof(((struct sockaddr_un *)0)->sun_path) + 8)

/*
 * An IP literal without brackets; a scope ("%eth0") is allowed on IPv6, and is kept where it means
 * something, which is with link-local addresses (RFC 4007 section 6). False: not one.
 */
bool addr_from_ip(struct addr *a, const char *ip, uint16_t port);

/* False when the path is too long for a socket address (unix(7): 107 bytes). */
bool addr_from_unix(struct addr *a, const char *path);

void addr_from_sockaddr(struct addr *a, const struct sockaddr *sa, socklen_t len);

/* "1.2.3.4:443", "[::1]:443", "unix:/path", "unix:" for an unnamed peer. */
const char *addr_format(const struct addr *a, char out[ADDR_TEXT_SIZE]);

/* The IP address alone, without port or brackets; "?" for other families. */
const char *addr_format_ip(const struct addr *a, char out[ADDR_TEXT_SIZE]);

void addr_set_port(struct addr *a, uint16_t port);
uint16_t addr_port(const struct addr *a); /* 0 for Unix sockets */
bool addr_is_loopback(const struct addr *a);
bool addr_equal(const struct addr *a, const struct addr *b);

/* Returns true for 0.0.0.0 and ::, with whatever port. */
bool addr_is_wildcard(const struct addr *a);

/*
 * Turns an IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2) into the IPv4 address that the
 * kernel takes it for. Leaves every other address as it is.
 */
void addr_unmap(struct addr *a);

/*
 * Checks whether a socket that listens on `bound` takes connections to `a`: the same address, or
 * the wildcard of the same family with the same port. The caller unmaps both where that matters.
 */
bool addr_covers(const struct addr *bound, const struct addr *a);

/*
 * Splits "HOST:PORT", "HOST", "[IPV6]:PORT", "[IPV6]" or a bare IPv6 literal. A port that is not
 * there leaves *port alone. Returns NULL, or what would have been right.
 */
const char *addr_split(const char *text, char *host, size_t host_size, uint16_t *port);

#endif
