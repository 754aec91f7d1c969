/*
 * The deadlines of an open tunnel: a pure function of what has happened and what is configured. The
 * tunnel sets its timer by it, and does what it says when the time has come.
 */
#ifndef PROXY_DEADLINE_H
#define PROXY_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/reason.h"

/* The state of a tunnel. Times are milliseconds of one clock; durations of 0 are no limit. */
struct deadline_facts {
    int64_t opened;
    int64_t last_activity; /* when the last byte passed, or one side finished */
    int64_t idle_timeout;
    int64_t half_close_timeout;
    int64_t max_lifetime;
    int64_t drain_timeout; /* how long the end of a lifetime waits for silence; 0: not at all */
    int64_t hurry;    /* after this long without a byte a wait of the relay ends (relay_hurry()) */
    bool half_closed; /* one side has finished */
    bool settled;     /* a clean end would cut nothing that the client gets */
    bool sent;        /* the server's kernel has all that the client has sent */
};

enum deadline_action {
    DEADLINE_NONE,  /* there is no deadline */
    DEADLINE_HURRY, /* call relay_hurry() */
    DEADLINE_CLOSE, /* end the tunnel in order, on both sides */
    DEADLINE_ABORT, /* end it with resets */
};

struct deadline {
    enum deadline_action action;
    int64_t at;         /* when to act, on the clock of the facts; 0: never */
    enum reason reason; /* with CLOSE and ABORT */
};

/*
 * Returns the first deadline by these facts. While they stay as they are, a byte that passes only
 * moves it further away: a timer that fires early is set again for the rest.
 *
 * The end of a lifetime is in order, in the first second without a byte in which nothing would be
 * cut. If there is none before drain_timeout has passed, it is by resets.
 */
struct deadline deadline_next(const struct deadline_facts *f);

#endif
