/*
 * What an administrator is warned of before it hurts: pins and certificates about to end, and
 * sections that report instead of refusing; changes that want a restart.
 */
#ifndef PINPROXYD_WARNINGS_H
#define PINPROXYD_WARNINGS_H

#include <stdint.h>

#include "config/problems.h"
#include "proxy/snapshot.h"

/* Logs them for every section; to be called at start, at a reload, and once a day. now: seconds. */
void warnings_log(const struct snapshot *s, int64_t now);

/* What a reload cannot change is said, not ignored. */
void warnings_restart(const struct config_global *before, const struct config_global *after);

/* A reload has failed, for these reasons: a line for each. */
void warnings_reload_failed(const struct problems *problems);

#endif
