/* What the machine lets the daemon have. */
#ifndef PINPROXYD_LIMITS_H
#define PINPROXYD_LIMITS_H

#include <stddef.h>
#include <stdint.h>

/* Raises the limit of open files as far as the kernel lets us (setrlimit(2)), and returns it. */
uint64_t limits_raise_files(void);

/*
 * How many tunnels there may be in all: as many as wanted (0: as files allow). More than files allow
 * is worth a warning, which is logged.
 */
uint64_t limits_tunnels(uint64_t wanted, size_t workers, size_t listeners);

/* CPUs that this process may use: sched_getaffinity(2). */
long limits_cpus(void);

#endif
