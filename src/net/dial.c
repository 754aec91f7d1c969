#include "net/dial.h"

#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "config/section.h"

/* How long an attempt lasts at most while another address waits. */
#define PATIENCE_MS 1500

static void dial_advance(struct dial *d);

/*
 * A dial fails for the reason that weighs most among those of its attempts, and the first of them.
 */
static int weight(enum reason reason)
{
    switch (reason) {
    case REASON_NONE:
        return 0;
    case REASON_RESOLVE:
        return 1;
    case REASON_LOOP:
        return 2;
    case REASON_FILES:
        return 4;
    default:
        return 3;
    }
}

static void note_failure(struct dial *d, enum reason reason, const char *what, const char *why)
{
    size_t used = strlen(d->detail);
    struct log_line l;

    log_begin(&l, LOG_LEVEL_DEBUG, "dial_failed", d->section->name);
    log_add(&l, "upstream", what);
    log_add(&l, "detail", why);
    log_end(&l);
    snprintf(d->detail + used, sizeof(d->detail) - used, "%s%s: %s", used ? "; " : "", what, why);
    if (weight(reason) > weight(d->reason))
        d->reason = reason;
}

static void dial_release(struct dial *d)
{
    if (--d->holds == 0)
        d->ops->closed(d);
}

static void on_timer_closed(uv_handle_t *handle)
{
    dial_release(handle->data);
}

/*
 * Stops everything. closed() is called when the last handle is closed. Addresses that have had no
 * answer for silent_ms milliseconds are remembered as unreachable.
 */
static void dial_end(struct dial *d, int64_t silent_ms)
{
    destinations_end(&d->destinations);
    attempts_end(&d->attempts, silent_ms);
    uv_close((uv_handle_t *)&d->timer, on_timer_closed);
}

static void dial_fail(struct dial *d)
{
    dial_end(d, 0); /* d is not freed before its handles are closed, after this callback */
    d->ops->failed(d, d->reason == REASON_NONE ? REASON_RESOLVE : d->reason, d->detail);
}

/* Returns true if d has ended, because it is connected. */
static bool take_result(struct dial *d, const struct attempt_result *result)
{
    char text[ADDR_TEXT_SIZE];

    if (!result->connected) {
        note_failure(d, result->reason, addr_format(&result->peer, text), result->why);
        d->next_at = 0; /* the next one need not wait */
        return false;
    }
    /*
     * An address that lets later ones win costs every client this time. d is not freed before its
     * handles are closed, after this callback.
     */
    dial_end(d, DESTINATIONS_STAGGER_MS);
    d->ops->connected(d, &result->stream);
    return true;
}

static void on_attempt_ended(struct attempts *s, const struct attempt_result *result)
{
    struct dial *d = container_of(s, struct dial, attempts);

    if (!take_result(d, result))
        dial_advance(d);
}

static void on_attempt_closed(struct attempts *s)
{
    dial_release(container_of(s, struct dial, attempts));
}

static const struct attempts_ops attempts_ops = {on_attempt_ended, on_attempt_closed};

static void on_changed(struct destinations *l)
{
    dial_advance(container_of(l, struct dial, destinations));
}

static void on_unresolved(struct destinations *l, const char *host, const char *why)
{
    note_failure(container_of(l, struct dial, destinations), REASON_RESOLVE, host, why);
}

static const struct destinations_ops destinations_ops = {on_changed, on_unresolved};

static void on_timer(uv_timer_t *timer)
{
    dial_advance(timer->data);
}

/*
 * Returns how long an attempt may last while another address waits, in milliseconds. Each address
 * has an equal share of the rest of connect_timeout, and those in flight use theirs together. The
 * bounds are explained in dial.h.
 */
static int64_t patience(const struct dial *d)
{
    const int64_t left = d->section->connect_timeout - (int64_t)(uv_now(d->loop) - d->started_at);
    const size_t waiting = 1 + destinations_left(&d->destinations);
    const int64_t share = left * d->attempts.in_flight / ((int64_t)waiting + d->attempts.in_flight);
    const int64_t least = (int64_t)d->attempts.in_flight * DESTINATIONS_STAGGER_MS;

    if (share < least)
        return least;
    return share < PATIENCE_MS ? share : PATIENCE_MS;
}

/*
 * Ends attempts that have had their time. Returns true if another one may start; otherwise the
 * timer is set for the end of the oldest one.
 */
static bool make_room(struct dial *d)
{
    struct attempt_result result;
    int64_t age;

    while (!attempts_has_room(&d->attempts)) {
        age = attempts_age(&d->attempts);
        if (age < patience(d)) {
            uv_timer_start(&d->timer, on_timer, (uint64_t)(patience(d) - age), 0);
            return false;
        }
        attempts_give_up_oldest(&d->attempts, &result);
        (void)take_result(d, &result);
    }
    return true;
}

static void wake_at(struct dial *d, uint64_t at)
{
    const uint64_t now = uv_now(d->loop);

    if (at == UINT64_MAX)
        uv_timer_stop(&d->timer);
    else
        uv_timer_start(&d->timer, on_timer, at > now ? at - now : 0, 0);
}

/*
 * Returns true if there is an address to try now: d->address. Otherwise the timer is set, if it is
 * time that is waited for, and *last says that no address is left.
 */
static bool take_address(struct dial *d, bool *last)
{
    const uint64_t now = uv_now(d->loop);
    uint64_t wake;

    *last = false;
    if (d->attempts.in_flight > 0 && now < d->next_at) {
        wake_at(d, d->next_at);
        return false;
    }
    if (d->has_address)
        return true;
    switch (destinations_next(&d->destinations, now, &d->address, &wake)) {
    case DESTINATIONS_ADDRESS:
        d->has_address = true;
        return true;
    case DESTINATIONS_WAIT:
        break;
    case DESTINATIONS_END:
        *last = true;
        break;
    }
    wake_at(d, wake);
    return false;
}

/* Starts what can be started now. Fails if no address is left and none is being tried. */
static void dial_advance(struct dial *d)
{
    struct attempt_result result;
    bool last;

    while (take_address(d, &last)) {
        if (!make_room(d))
            return;
        d->has_address = false;
        if (attempts_start(&d->attempts, d->section, &d->address, &result) == ATTEMPTS_STARTED) {
            d->holds++;
            d->next_at = uv_now(d->loop) + DESTINATIONS_STAGGER_MS;
        } else if (take_result(d, &result)) {
            return;
        }
    }
    if (last && d->attempts.in_flight == 0)
        dial_fail(d);
}

void dial_start(struct dial *d, uv_loop_t *loop, struct resolver *resolver,
                const struct config_section *section, const struct dial_ops *ops)
{
    d->ops = ops;
    d->loop = loop;
    d->section = section;
    destinations_init(&d->destinations, resolver, section, &destinations_ops);
    d->reason = REASON_NONE;
    d->started_at = uv_now(loop);
    attempts_init(&d->attempts, loop, &attempts_ops);
    (void)uv_timer_init(loop, &d->timer); /* cannot fail */
    d->timer.data = d;
    d->holds = 1;
    /* from the loop, so that the owner is never called from within this function */
    uv_timer_start(&d->timer, on_timer, 0, 0);
}

void dial_set_section(struct dial *d, const struct config_section *section)
{
    d->section = section;
    destinations_set_section(&d->destinations, section);
}

void dial_cancel(struct dial *d)
{
    dial_end(d, PATIENCE_MS);
}
