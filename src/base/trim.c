#include "base/trim.h"

#include <malloc.h>

/* Looking through the heap takes a moment, in which it is locked: not for a few tunnels' sake. */
#define TUNNELS_LEAST 128

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

void trim_tick(struct trim *t, uint64_t tunnels)
{
    if (tunnels > t->most)
        t->most = tunnels;
    if (t->most - tunnels >= TUNNELS_LEAST && tunnels <= t->most / 2)
        t->due = true;
    if (!t->due)
        return;
    t->due = false;
    t->most = tunnels;
    (void)malloc_trim(0);
}
