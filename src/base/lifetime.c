#include "base/lifetime.h"

#include <stddef.h>

#include "base/clock.h"
#include "base/util.h"

static const struct {
    long days;
    long share; /* of the life: 1/share */
} stages[] = {
    [LIFETIME_LAST] = {1, 12},
    [LIFETIME_SECOND] = {7, 6},
    [LIFETIME_FIRST] = {30, 3},
};

int64_t lifetime_limit(int64_t not_before, int64_t not_after, long days, long share)
{
    const int64_t limit = days * DAY_SECONDS;
    int64_t part;

    if (not_before >= not_after)
        return limit;
    part = (not_after - not_before) / share;
    return part < limit ? part : limit;
}

enum lifetime_stage lifetime_stage(int64_t not_before, int64_t not_after, int64_t now,
                                   int64_t *within)
{
    size_t i;

    for (i = 0; i < COUNT_OF(stages); i++) {
        const int64_t limit = lifetime_limit(not_before, not_after, stages[i].days,
                                             stages[i].share);

        if (now < not_after && not_after - now >= limit)
            continue;
        if (within)
            *within = limit;
        return (enum lifetime_stage)i;
    }
    return LIFETIME_FAR;
}
