#include "proxy/deadline.h"

/* A tunnel that is past its lifetime ends in order after this long without a byte. */
#define SILENCE_MS 1000

static struct deadline earlier(struct deadline a, struct deadline b)
{
    return b.action != DEADLINE_NONE && (a.action == DEADLINE_NONE || b.at < a.at) ? b : a;
}

/* Returns the deadline after so many milliseconds without a byte; 0: none. */
static struct deadline after_silence(const struct deadline_facts *f, int64_t ms,
                                     enum deadline_action action, enum reason reason)
{
    if (ms == 0)
        return (struct deadline){DEADLINE_NONE, 0, REASON_NONE};
    return (struct deadline){action, f->last_activity + ms, reason};
}

/* Returns the deadline of a tunnel that is silent: what ends it, unless a wait ends before. */
static struct deadline of_silence(const struct deadline_facts *f)
{
    const enum deadline_action end = f->settled ? DEADLINE_CLOSE : DEADLINE_ABORT;
    struct deadline d = after_silence(f, f->half_closed ? f->half_close_timeout : 0, end,
                                      REASON_HALF_CLOSE);

    d = earlier(d, after_silence(f, f->idle_timeout, end, REASON_IDLE));
    if (f->hurry == 0)
        return d;
    /* a wait ends first: no byte may be held when the tunnel ends in order */
    d.action = d.action == DEADLINE_NONE ? DEADLINE_NONE : DEADLINE_HURRY;
    return earlier(after_silence(f, f->hurry, DEADLINE_HURRY, REASON_NONE), d);
}

/* Returns the deadline of a tunnel that may not be open for longer than max_lifetime. */
static struct deadline of_lifetime(const struct deadline_facts *f)
{
    const int64_t end = f->opened + f->max_lifetime, limit = end + f->drain_timeout;
    const int64_t silence = f->last_activity + SILENCE_MS;
    const int64_t at = silence > end ? silence : end;

    if (f->settled && f->sent && f->hurry == 0 && at <= limit)
        return (struct deadline){DEADLINE_CLOSE, at, REASON_LIFETIME};
    return (struct deadline){DEADLINE_ABORT, limit, REASON_LIFETIME};
}

struct deadline deadline_next(const struct deadline_facts *f)
{
    const struct deadline d = of_silence(f);

    return f->max_lifetime ? earlier(d, of_lifetime(f)) : d;
}
