/*
 * The first half of a reload: everything that can fail, before anything changes. The second half,
 * which puts the result in service, is in daemon.c and cannot fail. Which open tunnels it ends is
 * decided in each worker: tunnel_apply() asks snapshot_recheck(), and trust/recheck.h has the rules.
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

enum reload_result {
    RELOAD_ORDERED, /* the configuration is in service once every worker has applied it */
    RELOAD_FAILED,  /* the configuration before stays in service, entirely */
};

/*
 * Loads the configuration at path, binds its listeners beside those in service, and creates the
 * directory of learned pins. Returns RELOAD_ORDERED with both fields of *next set, of which the
 * caller takes ownership, or RELOAD_FAILED after adding to diags what is wrong; then nothing has
 * changed.
 */
enum reload_result reload_prepare(struct reload *next, const char *path,
                                  const struct snapshot *snapshot, struct listener_set *listeners,
                                  struct diag_list *diags);

/* Logs `reload_failed` for each of the diagnostics. */
void reload_log_failed(const struct diag_list *diags);

/* Logs `restart_needed` for every changed option that a reload does not apply. */
void reload_log_restart(const struct config_global *before, const struct config_global *after);

#endif
