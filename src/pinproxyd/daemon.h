/* The daemon: the main loop with its signals, listeners, workers, and the snapshot in service. */
#ifndef PINPROXYD_DAEMON_H
#define PINPROXYD_DAEMON_H

#include "proxy/snapshot.h"

/*
 * Runs until it is told to stop, with a snapshot (taken over) that was loaded from path. Returns
 * the exit status: see base/exitcode.h.
 */
int daemon_run(const char *path, struct snapshot *snapshot);

#endif
