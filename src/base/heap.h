/*
 * Returns unused heap memory to the kernel. Tunnels are freed in any order, which leaves free
 * memory in fragments. glibc keeps these until malloc_trim(3) is called.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

struct heap_trim {
    uint64_t peak; /* the maximum in use since the last trim, in bytes */
    uint64_t last; /* at the last tick */
    bool due;      /* other memory was freed */
    bool again;    /* trimmed at the last tick; there may be more */
};

/*
 * Makes malloc(3) map each large block separately, so that the memory of a stalled tunnel returns
 * to the kernel when it is freed. By default it does so for the first block only (mallopt(3),
 * M_MMAP_THRESHOLD). To be called once, before threads are started.
 */
void heap_trim_prepare(void);

/* Trims at the next tick: a snapshot was freed. */
void heap_trim_soon(struct heap_trim *t);

/*
 * Notes about how many bytes the tunnels use. To be called when the number has grown, because many
 * tunnels may open and close between two ticks.
 */
void heap_trim_note(struct heap_trim *t, uint64_t in_use);

/*
 * Calls malloc_trim(3) when the tunnels use much less than before, and again when the number has
 * stopped falling. in_use is about how many bytes they use. To be called once a second.
 */
void heap_trim_tick(struct heap_trim *t, uint64_t in_use);

#endif
