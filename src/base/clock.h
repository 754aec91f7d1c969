/* The time of day, in seconds since the epoch (UTC), as dates in certificates and pins are. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define DAY_SECONDS INT64_C(86400)

/* Returns the time of day, in seconds since the epoch. */
static inline int64_t clock_now(void)
{
    return (int64_t)time(NULL);
}

/* Returns how many milliseconds are left of the day (UTC), 1 at least. */
static inline int64_t clock_ms_to_midnight(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (DAY_SECONDS - t.tv_sec % DAY_SECONDS) * 1000 - t.tv_nsec / 1000000;
}

/* Returns the number of whole days in this many seconds, rounded down: -1 for the second before. */
static inline int64_t clock_days(int64_t seconds)
{
    return (seconds >= 0 ? seconds : seconds - (DAY_SECONDS - 1)) / DAY_SECONDS;
}

#endif
