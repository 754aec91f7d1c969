/*
 * Memory that is no longer needed goes back to the system. Tunnels come and go in every order, so
 * what the C library has free lies among what is in use, and it keeps it unless asked.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

struct heap_trim {
    uint64_t peak; /* bytes in use at once since the last time */
    uint64_t last; /* at the last tick */
    bool due;      /* something else has been given up */
    bool again;    /* something has been given back, and there may be more to come */
};

/*
 * Once, before there are threads: large blocks are mapped for themselves from now on, so that what
 * a stalled tunnel had to hold goes back the moment it is gone. Left alone, malloc(3) would put
 * them into the heap after the first (mallopt(3), M_MMAP_THRESHOLD).
 */
void heap_trim_prepare(void);

/* A snapshot has been given up: at the next tick. */
void heap_trim_soon(struct heap_trim *t);

/*
 * Notes about how many bytes the tunnels use now: to be called when they have become more, for many
 * may come and go between two ticks.
 */
void heap_trim_note(struct heap_trim *t, uint64_t in_use);

/*
 * Once a second, with about how many bytes the tunnels use: gives back when they have come to use
 * much less, and once more when it does not go on becoming less (malloc_trim(3)).
 */
void heap_trim_tick(struct heap_trim *t, uint64_t in_use);

#endif
