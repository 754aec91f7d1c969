/*
 * Where a section's connections go: its addresses, or its host, in the order in which they are
 * tried.
 */
#ifndef NET_TARGET_H
#define NET_TARGET_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "config/section.h"
#include "net/resolver.h"

/* Returns the family to look up: AF_INET, AF_INET6 or AF_UNSPEC. */
int target_family(const struct config_section *s);

/* Returns how many targets there are: those of `address`, or one, the host. */
size_t target_count(const struct config_section *s);

/* Returns the target of that index, with its port. Borrows from the section. */
struct config_target target_at(const struct config_section *s, size_t index);

/*
 * Copies the addresses that a target has been resolved to and that are of the right family, with
 * the port, to `out`. The families alternate, each in its order, so that one that does not work
 * cannot hold up the other (RFC 8305 section 4). Returns how many they are.
 */
size_t target_addresses(const struct config_section *s, const struct addr *list, size_t count,
                        uint16_t port, struct addr out[RESOLVER_ADDRESSES_MAX]);

#endif
