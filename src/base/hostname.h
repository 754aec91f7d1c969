/* Host names as DNS has them, and the IP literals that may stand in their place. */
#ifndef BASE_HOSTNAME_H
#define BASE_HOSTNAME_H

#include <stdbool.h>
#include <stddef.h>

/* The longest name, without a trailing dot (RFC 1035 section 2.3.4, as text). */
#define HOSTNAME_MAX 253

/*
 * Checks a name to dial, send as SNI and compare with certificates: a DNS name (letters, digits,
 * hyphens, underscores; labels of 1 to 63; at most 253 long; one trailing dot is allowed) or an IP
 * literal, which may have a zone that names an interface. Returns NULL, or what is wrong with it, a
 * phrase that follows the name. An empty name and one that starts with a dot must never reach
 * OpenSSL: there they switch the check off, or make it match at any depth (SSL_set1_host(3)).
 */
const char *hostname_check(const char *name);

/* An IPv4 or IPv6 literal, without brackets. */
bool hostname_is_ip(const char *name);

/* Returns the length of a name without its trailing dot, with which it is the same name. */
size_t hostname_length(const char *name);

/*
 * Compares two names without regard to case and to a trailing dot (RFC 1034 section 3.1,
 * RFC 4343). Returns a number below, equal to or above 0, as strcmp(3) does.
 */
int hostname_compare(const char *a, const char *b);

#endif
