#include "net/dial.h"

#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "config/section.h"
#include "net/target.h"

/* RFC 8305 section 5: the recommended delay before the next address is tried as well. */
#define STAGGER_MS 250

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

static void on_stagger_closed(uv_handle_t *handle)
{
    dial_release(handle->data);
}

/* Stops everything. closed() is called when the last handle is closed. */
static void dial_end(struct dial *d)
{
    resolver_cancel(&d->request);
    attempts_end(&d->attempts);
    uv_close((uv_handle_t *)&d->stagger, on_stagger_closed);
}

static void dial_fail(struct dial *d)
{
    dial_end(d); /* d is not freed before its handles are closed, after this callback */
    d->ops->failed(d, d->reason == REASON_NONE ? REASON_RESOLVE : d->reason, d->detail);
}

/* Returns true if d has ended, because it is connected. */
static bool take_result(struct dial *d, const struct attempt_result *result)
{
    char text[ADDR_TEXT_SIZE];

    if (!result->connected) {
        note_failure(d, result->reason, addr_format(&result->peer, text), result->why);
        return false;
    }
    dial_end(d); /* d is not freed before its handles are closed, after this callback */
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

static void take_addresses(struct dial *d, const struct addr *list, size_t count,
                           const struct config_target *t)
{
    d->next = 0;
    d->count = target_addresses(d->section, list, count, t->port, d->addresses);
    if (d->count == 0)
        note_failure(d, REASON_RESOLVE, t->host,
                     target_family(d->section) == AF_INET6
                         ? "no IPv6 address, which family or bind requires"
                         : "no IPv4 address, which family or bind requires");
}

static void take_answer(struct dial *d)
{
    const struct config_target t = target_at(d->section, d->next_target - 1);

    d->looking = false;
    if (d->request.count)
        take_addresses(d, d->request.addresses, d->request.count, &t);
    else
        note_failure(d, REASON_RESOLVE, t.host, d->request.error);
}

static void on_answer(struct resolver_request *request)
{
    struct dial *d = container_of(request, struct dial, request);

    take_answer(d);
    dial_advance(d);
}

/* Begins with the next target. Returns false if there is none. */
static bool next_target(struct dial *d)
{
    struct config_target t;
    struct addr ip;

    if (d->next_target >= target_count(d->section))
        return false;
    t = target_at(d->section, d->next_target++);
    if (addr_from_ip(&ip, t.host, t.port)) {
        take_addresses(d, &ip, 1, &t);
        return true;
    }
    d->looking = true;
    d->request.done = on_answer;
    if (resolver_ask(d->resolver, t.host, target_family(d->section), d->section->dns_ttl,
                     &d->request))
        take_answer(d);
    return true;
}

static void on_stagger(uv_timer_t *timer)
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
    const size_t waiting = d->count - d->next + target_count(d->section) - d->next_target;
    const int64_t share = left * d->attempts.in_flight / ((int64_t)waiting + d->attempts.in_flight);
    const int64_t least = (int64_t)d->attempts.in_flight * STAGGER_MS;

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
            uv_timer_start(&d->stagger, on_stagger, (uint64_t)(patience(d) - age), 0);
            return false;
        }
        attempts_give_up_oldest(&d->attempts, &result);
        (void)take_result(d, &result);
    }
    return true;
}

/* Starts what can be started next. Fails if no address is left and none is being tried. */
static void dial_advance(struct dial *d)
{
    struct attempt_result result;

    while (!d->looking) {
        if (d->next == d->count) {
            if (next_target(d))
                continue;
            if (d->attempts.in_flight == 0)
                dial_fail(d);
            return;
        }
        if (!make_room(d))
            return;
        if (attempts_start(&d->attempts, d->section, &d->addresses[d->next++], &result)
            == ATTEMPTS_STARTED) {
            d->holds++;
            uv_timer_start(&d->stagger, on_stagger, STAGGER_MS, 0);
            return;
        }
        if (take_result(d, &result))
            return;
    }
}

void dial_start(struct dial *d, uv_loop_t *loop, struct resolver *resolver,
                const struct config_section *section, const struct dial_ops *ops)
{
    d->ops = ops;
    d->loop = loop;
    d->resolver = resolver;
    d->section = section;
    d->reason = REASON_NONE;
    d->started_at = uv_now(loop);
    attempts_init(&d->attempts, loop, &attempts_ops);
    (void)uv_timer_init(loop, &d->stagger); /* cannot fail */
    d->stagger.data = d;
    d->holds = 1;
    /* from the loop, so that the owner is never called from within this function */
    uv_timer_start(&d->stagger, on_stagger, 0, 0);
}

void dial_set_section(struct dial *d, const struct config_section *section)
{
    d->section = section;
}

void dial_cancel(struct dial *d)
{
    dial_end(d);
}
