/* Socket addresses, IP, Unix and vsock: parses, formats and compares them. */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include <linux/vm_sockets.h>
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
        struct sockaddr_vm vm;
    };
};

/* "unix:" and a path, or an IPv6 literal in brackets with a port, whichever is longer. */
#define ADDR_TEXT_SIZE (sizeof(((struct sockaddr_un *)0)->sun_path) + 8)

/*
 * Reads an IP literal without brackets. An IPv6 literal may have a zone ("%eth0"); it is stored for
 * link-local addresses, where it has a meaning (RFC 4007 section 6). Returns false if ip is no IP
 * literal.
 */
bool addr_from_ip(struct addr *a, const char *ip, uint16_t port);

/* Makes the address of a Unix socket. Returns false if path is longer than 107 bytes (unix(7)). */
bool addr_from_unix(struct addr *a, const char *path);

/* Makes the address of a port of a virtual machine (vsock(7)). */
void addr_from_vsock(struct addr *a, uint32_t cid, uint32_t port);

/* Copies a socket address of len bytes. */
void addr_from_sockaddr(struct addr *a, const struct sockaddr *sa, socklen_t len);

/*
 * Writes "1.2.3.4:443", "[::1]:443", "unix:/path", "unix:" for an unnamed peer, "vsock:3:443", or
 * "-" if there is no address. Returns out.
 */
const char *addr_format(const struct addr *a, char out[ADDR_TEXT_SIZE]);

/* Writes the IP address alone, or "?" for other families. Returns out. */
const char *addr_format_ip(const struct addr *a, char out[ADDR_TEXT_SIZE]);

/* Sets and returns the port. A Unix socket has port 0. */
void addr_set_port(struct addr *a, uint16_t port);
uint16_t addr_port(const struct addr *a);

/* Returns true for 127.0.0.0/8, ::1 and Unix sockets. */
bool addr_is_loopback(const struct addr *a);

/* Returns true if both are the same address with the same port, or the same path. */
bool addr_equal(const struct addr *a, const struct addr *b);

/* Returns true for 0.0.0.0 and :: with any port. */
bool addr_is_wildcard(const struct addr *a);

/*
 * Replaces an IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2) by its IPv4 address, as the
 * kernel does. Leaves every other address unchanged.
 */
void addr_unmap(struct addr *a);

/*
 * Returns true if a socket that listens on `bound` accepts connections to `a`: if they are equal,
 * or `bound` is the wildcard of the same family with the same port. The caller unmaps both if
 * necessary.
 */
bool addr_covers(const struct addr *bound, const struct addr *a);

/*
 * Splits "HOST:PORT", "HOST", "[IPV6]:PORT", "[IPV6]" or an IPv6 literal without brackets. Without
 * a port, *port is unchanged. Returns NULL, or a static text that says what was expected.
 */
const char *addr_split(const char *text, char *host, size_t host_size, uint16_t *port);

#endif
