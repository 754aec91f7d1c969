/* SPIFFE IDs: names of workloads, such as spiffe://example.org/billing/api (the SPIFFE-ID standard). */
#ifndef BASE_SPIFFE_H
#define BASE_SPIFFE_H

#include <stdbool.h>

/* The maximum length of an ID, and of its trust domain (SPIFFE-ID sections 2.1 and 2.3). */
#define SPIFFE_ID_MAX 2048
#define SPIFFE_DOMAIN_MAX 255

/*
 * Returns whether a name is meant as a SPIFFE ID and not as a host: it begins with "spiffe:", in
 * whichever case.
 */
bool spiffe_is_meant(const char *name);

/*
 * Checks the syntax of the SPIFFE ID of a workload. Its trust domain has lower-case letters,
 * digits, dots, hyphens and underscores. Its path is not empty, and its segments have letters,
 * digits and the same signs; none is empty, "." or "..". So there is no port, no query, no fragment
 * and no percent-encoding, and one workload has one ID. Returns NULL, or a static phrase that
 * follows the ID and says what is wrong.
 */
const char *spiffe_check(const char *id);

#endif
