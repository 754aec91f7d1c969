/* The limits that the machine sets to the daemon: open files and CPUs. */
#ifndef PINPROXYD_LIMITS_H
#define PINPROXYD_LIMITS_H

#include <stddef.h>
#include <stdint.h>

/* Raises the limit of open files as far as the kernel permits (setrlimit(2)). Returns it. */
uint64_t limits_raise_files(void);

/*
 * Divides the files that the process may open among tunnels, attempts to connect, and look-ups of
 * names. Sets the limits of the latter two. per_tunnel: the files that a tunnel has at most. warm:
 * those of the warm connections together. Returns the maximum number of tunnels: wanted, or what the
 * files permit if wanted is 0. Logs a warning if the files do not permit what is wanted.
 */
uint64_t limits_tunnels(uint64_t wanted, size_t workers, size_t listeners, size_t per_tunnel,
                        size_t warm);

/* Returns how many CPUs this process may use (sched_getaffinity(2)). */
long limits_cpus(void);

#endif
