#include "base/heap.h"

#include <malloc.h>

/* Looking through the heap takes a moment, in which it is locked: not for the sake of less. */
#define LEAST ((uint64_t)2 * 1024 * 1024)

/* Smaller than a turn of the relay; malloc's own threshold to begin with. */
#define LARGE (128 * 1024)

void trim_prepare(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, LARGE);
}

void trim_soon(struct trim *t)
{
    t->due = true;
}

void trim_note(struct trim *t, uint64_t in_use)
{
    if (in_use > t->most)
        t->most = in_use;
}

void trim_tick(struct trim *t, uint64_t in_use)
{
    bool settled;

    trim_note(t, in_use);
    if (t->most - in_use >= LEAST && in_use <= t->most / 2)
        t->due = true;
    settled = t->again && in_use >= t->last;
    t->last = in_use;
    if (!t->due && !settled)
        return;
    t->again = t->due;
    t->due = false;
    t->most = in_use;
    (void)malloc_trim(0);
}
