#include "base/heap.h"

#include <malloc.h>

/* malloc_trim() walks and locks the heap. It is not worthwhile for less than this ... */
#define TRIM_MIN ((uint64_t)2 * 1024 * 1024)
/* ... or, while nothing changes, for less than this. */
#define REST_MIN ((uint64_t)256 * 1024)

/* Smaller than a turn of the relay. It is the initial threshold of malloc(). */
#define LARGE (128 * 1024)

void heap_trim_prepare(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, LARGE);
}

void heap_trim_soon(struct heap_trim *t)
{
    t->due = true;
}

void heap_trim_note(struct heap_trim *t, uint64_t in_use)
{
    if (in_use > t->peak)
        t->peak = in_use;
}

void heap_trim_tick(struct heap_trim *t, uint64_t in_use)
{
    uint64_t freed = 0;
    bool settled;

    heap_trim_note(t, in_use);
    if (in_use <= t->peak / 2)
        freed = t->peak - in_use;
    if (freed >= TRIM_MIN)
        t->due = true;
    settled = (t->again || freed >= REST_MIN) && in_use >= t->last;
    t->last = in_use;
    if (!t->due && !settled)
        return;
    t->again = t->due;
    t->due = false;
    t->peak = in_use;
    (void)malloc_trim(0);
}
