/* The daemon: the main loop with its signals, listeners, workers, and the snapshot in service. */
#ifndef PINPROXYD_DAEMON_H
#define PINPROXYD_DAEMON_H

#include "proxy/snapshot.h"

/*
 * Runs the daemon until a signal stops it. Takes ownership of a reference to the snapshot, which
 * was loaded from path. A reload reads path again. Returns the exit status (base/exitcode.h).
 */
int daemon_run(const char *path, struct snapshot *snapshot);

#endif
