/* What the machine lets the daemon have. */
#ifndef PINPROXYD_LIMITS_H
#define PINPROXYD_LIMITS_H

#include <stddef.h>
#include <stdint.h>

/* Raises the limit of open files as far as the kernel lets us (setrlimit(2)), and returns it. */
uint64_t limits_raise_files(void);

/*
 * Divides the files that the process may open between tunnels, attempts to connect and look-ups of
 * names, and sets the limits of the latter two. Returns how many tunnels there may be in all: as
 * many as wanted (0: as files allow). If files do not allow as many, a warning is logged.
 */
uint64_t limits_tunnels(uint64_t wanted, size_t workers, size_t listeners);

/* CPUs that this process may use: sched_getaffinity(2). */
long limits_cpus(void);

#endif
