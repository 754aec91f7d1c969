/*
 * A reload's first half: everything that can fail, done before anything changes. The second half,
 * the swap, is the daemon's (daemon.c) and cannot fail.
 */
#ifndef PINPROXYD_RELOAD_H
#define PINPROXYD_RELOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "pinproxyd/listener.h"
#include "proxy/snapshot.h"

/* A configuration that is ready to take the place of the one in service. */
struct reload {
    struct snapshot *snapshot;      /* a reference */
    struct listener_set *listeners; /* bound beside those in service */
};

/*
 * Loads the configuration at path, binds its listeners beside the old ones, and makes the directory
 * of learned pins. Returns true with both fields of next set, which the caller takes ownership of.
 * Returns false after logging `reload_failed` for each problem; then nothing has changed.
 */
bool reload_prepare(struct reload *next, const char *path, const struct snapshot *snapshot,
                    struct listener_set *listeners);

/* Logs `restart_needed` for every changed option that a reload does not apply. */
void reload_log_restart(const struct config_global *before, const struct config_global *after);

#endif
