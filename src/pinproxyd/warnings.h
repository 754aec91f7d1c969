/*
 * Warnings about a configuration in service: pins, certificates and revocation lists that end soon,
 * sections that only report a mismatch, and sections that permit a slow key exchange. `pinproxy
 * check` has its own (pinproxy/findings.h), by the same limits (base/lifetime.h).
 */
#ifndef PINPROXYD_WARNINGS_H
#define PINPROXYD_WARNINGS_H

#include <stdint.h>
#include <stdio.h>

#include "proxy/snapshot.h"

/*
 * Logs the warnings of every section. Is called at start, at a reload, and once a day. now is in
 * seconds since the epoch. lifetime_stage() decides whether an end is near.
 */
void warnings_log(const struct snapshot *s, int64_t now);

/* Prints those warnings that need the configuration alone, one line each, for pinproxyd -t. */
void warnings_print(const struct snapshot *s, FILE *to);

#endif
