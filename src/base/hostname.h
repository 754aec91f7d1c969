/* DNS host names, and the IP literals that are allowed in their place. */
#ifndef BASE_HOSTNAME_H
#define BASE_HOSTNAME_H

#include <stdbool.h>
#include <stddef.h>

/* The maximum length of a name as text, without a trailing dot (RFC 1035 section 2.3.4). */
#define HOSTNAME_MAX 253

/*
 * Checks a name that is dialled, sent as SNI and compared with certificates. A DNS name has
 * letters, digits, hyphens and underscores, labels of 1 to 63 characters, 253 characters in all,
 * and perhaps a trailing dot. An IP literal may have a zone that names an interface. Returns NULL,
 * or a static phrase that follows the name and says what is wrong. An empty name and one with a
 * leading dot must never reach OpenSSL: it would skip the check, or match at any depth
 * (SSL_set1_host(3)).
 */
const char *hostname_check(const char *name);

/* Returns true for an IPv4 or IPv6 literal without brackets. */
bool hostname_is_ip(const char *name);

/* Returns the length of a name without a trailing dot. */
size_t hostname_length(const char *name);

/*
 * Compares two names, ignoring case and a trailing dot (RFC 1034 section 3.1, RFC 4343). Returns a
 * number below, equal to or above 0, as strcmp(3) does.
 */
int hostname_compare(const char *a, const char *b);

#endif
