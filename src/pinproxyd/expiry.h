/*
 * What an administrator is warned of before it hurts: pins and certificates about to end, and
 * sections that report instead of refusing.
 */
#ifndef PINPROXYD_EXPIRY_H
#define PINPROXYD_EXPIRY_H

#include <stdint.h>
#include <stdio.h>

#include "proxy/snapshot.h"

/* Logs them for every section; to be called at start, at a reload, and once a day. now: seconds. */
void expiry_log(const struct snapshot *s, int64_t now);

/* Prints those that a configuration alone tells of, for pinproxyd -t: a line for each section. */
void expiry_print(const struct snapshot *s, FILE *to);

#endif
