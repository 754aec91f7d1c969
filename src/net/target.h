/*
 * The targets of a section's connections: its addresses, or its host, in the order in which they
 * are tried. If the section is reached through a parent proxy, the parent is the only target, and it
 * is asked for the addresses, or the host, in that order.
 */
#ifndef NET_TARGET_H
#define NET_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/section.h"

/* Returns the family to look up: AF_INET, AF_INET6 or AF_UNSPEC. */
int target_family(const struct config_section *s);

/* Returns true if the section is reached through a parent proxy that is dialled (socks5, http). */
bool target_has_parent(const struct config_section *s);

/* Returns the number of targets: the values of `address`, or 1, the host or the parent. */
size_t target_count(const struct config_section *s);

/* Returns a target with its port. The host belongs to the section. */
struct config_target target_at(const struct config_section *s, size_t index);

/* Returns the number of servers that a parent proxy is asked for, until it reaches one. */
size_t target_request_count(const struct config_section *s);

/*
 * Returns a server that a parent proxy is asked for, with its port; the last one if index is too
 * high, as it may be after a reload. The host belongs to the section.
 */
struct config_target target_request(const struct config_section *s, size_t index);

/*
 * Returns true if the connections of both sections lead to the same server: if all options that
 * select it are equal (OPTION_SERVER). sni is one of them: a server is chosen by it at an address.
 */
bool target_is_same_server(const struct config_section *a, const struct config_section *b);

#endif
