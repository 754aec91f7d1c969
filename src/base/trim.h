/*
 * Memory that is no longer needed goes back to the system. Tunnels come and go in every order, so what
 * the C library has free lies among what is in use, and it keeps it unless asked.
 */
#ifndef BASE_TRIM_H
#define BASE_TRIM_H

#include <stdbool.h>
#include <stdint.h>

struct trim {
    uint64_t most; /* tunnels at once since the last time */
    bool due;      /* something else has been given up */
};

/* A snapshot has been given up: at the next tick. */
void trim_soon(struct trim *t);

/* Once a second, with the number of tunnels: gives back when many have gone (malloc_trim(3)). */
void trim_tick(struct trim *t, uint64_t tunnels);

#endif
