/*
 * Remembers the addresses that did not connect lately, for all dials of the process. A dial tries
 * them after all others, and never leaves one out: a wrong memory costs time, and no connection.
 *
 * An address is forgotten after 30 seconds, when it connects, and when a new configuration is
 * applied. The memory has a fixed size. If many addresses fail, the oldest failure is forgotten.
 * All functions may be called from any thread.
 */
#ifndef NET_UNREACHABLE_H
#define NET_UNREACHABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

/* How long a failure is remembered, in milliseconds. */
#define UNREACHABLE_MS 30000

/* The most addresses that are remembered. */
#define UNREACHABLE_ADDRESSES_MAX 1024

/* Remembers that an IP address with its port did not connect. now is uv_now() of any loop. */
void unreachable_note(const struct addr *a, uint64_t now);

/* Forgets an address, which has connected. */
void unreachable_forget(const struct addr *a);

/* Forgets all addresses. */
void unreachable_clear(void);

/* Returns true if an address with this port is remembered. */
bool unreachable_has(const struct addr *a, uint64_t now);

#endif
