/*
 * How near the end of a pin, a certificate or a revocation list is. A fixed number of days fits
 * certificates of a year. In the 6 or 47 days of a short one it would warn for most of its life, so
 * that a share of its life is the limit where that is shorter.
 */
#ifndef BASE_LIFETIME_H
#define BASE_LIFETIME_H

#include <stdint.h>

/* In place of the start of something that has an end only. */
#define LIFETIME_NO_START INT64_MAX

/*
 * Returns how long before its end something must be warned of, in seconds: days, or 1/share of its
 * life if that is shorter. not_before and not_after, in seconds since the epoch, limit its life. If
 * not_before is LIFETIME_NO_START, or is not before not_after, there is no life to have a share of,
 * and the days are the limit.
 */
int64_t lifetime_limit(int64_t not_before, int64_t not_after, long days, long share);

/* From the last stage to the first. */
enum lifetime_stage {
    LIFETIME_LAST,   /* 1 day or a twelfth of its life, or it has ended */
    LIFETIME_SECOND, /* 7 days or a sixth */
    LIFETIME_FIRST,  /* 30 days or a third */
    LIFETIME_FAR,    /* its end is not near yet */
};

/*
 * Returns the stage at a time (now, in seconds since the epoch) of what lifetime_limit() describes.
 * A stage begins in the second after its limit: with the limit left, it has not begun. At not_after
 * the life has ended. Before not_before the stages are the same. If within is not NULL, *within is
 * the limit of the stage in seconds; it is untouched for LIFETIME_FAR.
 */
enum lifetime_stage lifetime_stage(int64_t not_before, int64_t not_after, int64_t now,
                                   int64_t *within);

#endif
