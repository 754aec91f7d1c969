#include "front/front.h"

static enum front_result raw_feed(void *state, const uint8_t *bytes, size_t n, size_t *used,
                                  struct front_target *target)
{
    (void)state;
    (void)bytes;
    (void)n;
    (void)target;
    *used = 0;
    return FRONT_READY;
}

static size_t raw_reply(void *state, enum reason reason, uint8_t *out, size_t room)
{
    (void)state;
    (void)reason;
    (void)out;
    (void)room;
    return 0;
}

const struct front_ops front_raw = {.name = "raw", .feed = raw_feed, .reply = raw_reply};
