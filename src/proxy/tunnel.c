#include "proxy/tunnel.h"

#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/sock.h"
#include "base/util.h"
#include "net/endpoint.h"
#include "proxy/connlog.h"
#include "proxy/relay.h"
#include "proxy/upstream.h"
#include "trust/peerchain.h"

/* How often to see whether the kernel has delivered the last bytes before a reset. */
#define LINGER_POLL_MS 20
/* ... and for how long. A reset throws away what the client's kernel has not taken by then. */
#define LINGER_MS 5000

enum state { STATE_UPSTREAM, STATE_RELAY, STATE_LINGER, STATE_CLOSING };

struct tunnel {
    const struct tunnel_events *events;
    void *owner;
    struct thread *thread;
    struct snapshot *snapshot;
    const struct frontend *frontend;
    const struct section *section;
    enum state state;
    enum reason reason;

    struct endpoint client;
    struct addr client_addr;
    struct upstream upstream;
    struct relay relay;
    uv_timer_t timer;
    int holds; /* the client's handle, the timer, the upstream */

    bool opened;      /* RELAY was reached */
    bool cut;         /* the server's stream broke off */
    int64_t armed;    /* RELAY: the limit that the timer was set for; 0: none */
    uint64_t started; /* loop time, as all times here */
    uint64_t linger_until;
    int64_t checked; /* seconds since the epoch; by then its pin had not ended */
};

static void tunnel_step(struct tunnel *t);

/* Endings. */

static void release(struct tunnel *t)
{
    if (--t->holds > 0)
        return;
    t->events->freed(t, t->owner);
    snapshot_release(t->snapshot);
    free(t);
}

static void on_timer_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static int64_t age(const struct tunnel *t)
{
    return (int64_t)(uv_now(&t->thread->loop) - t->started);
}

static void log_end_of(struct tunnel *t, const char *detail)
{
    const struct connlog_totals totals = {t->relay.sent, t->relay.received, age(t)};
    const struct connlog c = upstream_connlog(&t->upstream, &t->client_addr);

    connlog_failed(&c, t->reason, detail);
    /* a refusal has said all; whatever else ends leaves its line here */
    if (t->opened || reason_kind(t->reason) == REASON_KIND_END)
        connlog_closed(&c, t->reason, detail, &totals);
}

static void close_all(struct tunnel *t, bool reset_client, bool reset_upstream)
{
    if (t->state == STATE_CLOSING)
        return;
    t->state = STATE_CLOSING;
    endpoint_close(&t->client, reset_client);
    upstream_close(&t->upstream, reset_upstream);
    uv_close((uv_handle_t *)&t->timer, on_timer_closed);
}

/* Notes how the tunnel ended. The first reason stands; it is logged here and nowhere else. */
static void note_end(struct tunnel *t, enum reason reason, const char *detail)
{
    if (t->reason != REASON_NONE)
        return;
    t->reason = reason;
    stats_ended(t->section->stats, reason); /* first: who reads the line may count on it */
    log_end_of(t, detail);
    if (t->events->ended)
        t->events->ended(t, reason, detail, t->owner);
}

static void linger(struct tunnel *t)
{
    const bool delivered = endpoint_is_idle(&t->client) && endpoint_unsent(&t->client) == 0;

    if (delivered || t->client.write_error || uv_now(&t->thread->loop) >= t->linger_until)
        close_all(t, true, false);
}

static void on_linger(uv_timer_t *timer)
{
    tunnel_step(timer->data);
}

/* The stream broke off: give the client what was authenticated, then a reset. */
static void start_linger(struct tunnel *t, enum reason reason, const char *detail)
{
    t->cut = true;
    note_end(t, reason, detail);
    t->state = STATE_LINGER;
    t->linger_until = uv_now(&t->thread->loop) + LINGER_MS;
    endpoint_want_read(&t->client, false);
    upstream_close(&t->upstream, false);
    uv_timer_start(&t->timer, on_linger, LINGER_POLL_MS, LINGER_POLL_MS);
    linger(t);
}

/* Both sides are told that this is the end of the stream, in order. */
static void end_in_order(struct tunnel *t, enum reason reason)
{
    note_end(t, reason, "");
    if (!t->relay.client_eof) {
        tls_close_notify(t->upstream.tls);
        upstream_flush(&t->upstream);
    }
    endpoint_shutdown(&t->client);
    close_all(t, false, false);
}

static void end_with_resets(struct tunnel *t, enum reason reason, const char *detail)
{
    note_end(t, reason, detail);
    close_all(t, true, true);
}

/* The upstream never became ready: the client has got no byte and gets a reset. */
static void end_refused(struct tunnel *t)
{
    note_end(t, t->upstream.reason, t->upstream.detail);
    close_all(t, true, false);
}

/* Deadlines of RELAY: looked at when the timer fires, not moved with each byte. */

static void arm_timer(struct tunnel *t);
static void take_result(struct tunnel *t, enum relay_result result, enum reason reason,
                        const char *detail);

/*
 * Returns the time without a byte after which something must happen, in milliseconds, and the
 * reason that the tunnel then ends with; REASON_NONE: it does not end, but relay_hurry() is called.
 * 0: no limit.
 */
static int64_t inactivity_limit(const struct tunnel *t, enum reason *reason)
{
    const struct config_section *s = t->section->config;
    const int64_t patience = relay_patience(&t->relay);
    int64_t limit = s->idle_timeout;

    *reason = REASON_IDLE;
    if (relay_is_half_closed(&t->relay) && s->half_close_timeout
        && (limit == 0 || limit >= s->half_close_timeout)) {
        *reason = REASON_HALF_CLOSE;
        limit = s->half_close_timeout;
    }
    if (patience) {
        *reason = REASON_NONE; /* no byte may be held when the tunnel ends in order */
        if (limit == 0 || limit > patience)
            limit = patience;
    }
    return limit;
}

static void end_overdue(struct tunnel *t, enum reason reason)
{
    const bool client_has_finished = t->relay.client_eof || t->client.fin_received;

    /* what still waits for the client would be lost behind a clean end; and where the client has
       finished, a clean end would pass off a server's half answer as a whole one */
    if (endpoint_is_idle(&t->client) && (t->relay.server_eof || !client_has_finished))
        end_in_order(t, reason);
    else
        end_with_resets(t, reason, "");
}

static void on_timer(uv_timer_t *timer)
{
    struct tunnel *t = timer->data;
    enum relay_result result;
    enum reason reason;
    const char *detail;
    int64_t quiet;

    thread_turn(t->thread);
    if (t->state != STATE_RELAY)
        return;
    t->armed = 0;
    quiet = (int64_t)(uv_now(&t->thread->loop) - t->relay.last_activity);
    if (quiet < inactivity_limit(t, &reason)) {
        arm_timer(t);
    } else if (reason == REASON_NONE) {
        result = relay_hurry(&t->relay, &reason, &detail);
        take_result(t, result, reason, detail);
    } else {
        end_overdue(t, reason);
    }
}

/* Sets the timer if another limit holds now than when it was set. */
static void arm_timer(struct tunnel *t)
{
    const int64_t quiet = (int64_t)(uv_now(&t->thread->loop) - t->relay.last_activity);
    enum reason reason;
    const int64_t limit = inactivity_limit(t, &reason);

    if (limit == t->armed)
        return;
    t->armed = limit;
    if (limit == 0)
        uv_timer_stop(&t->timer);
    else
        uv_timer_start(&t->timer, on_timer, quiet < limit ? (uint64_t)(limit - quiet) : 0, 0);
}

static void take_result(struct tunnel *t, enum relay_result result, enum reason reason,
                        const char *detail)
{
    switch (result) {
    case RELAY_OPEN:
        arm_timer(t);
        return;
    case RELAY_FINISHED:
        end_in_order(t, REASON_OK);
        return;
    case RELAY_CUT:
        start_linger(t, reason, detail);
        return;
    case RELAY_ABORTED:
        end_with_resets(t, reason, detail);
        return;
    }
}

static void relay(struct tunnel *t)
{
    const char *detail;
    enum reason reason;
    const enum relay_result result = relay_step(&t->relay, &reason, &detail);

    take_result(t, result, reason, detail);
}

static void count_opened(const struct tunnel *t)
{
    const struct trust_verdict *v = tls_verdict(t->upstream.tls);
    struct stats *stats = t->section->stats;

    if (v->reported != REASON_OK)
        stats_add(stats, STATS_MISMATCHES, 1);
    stats_opened(stats, v->pin ? pin_label(v->pin) : "", peerchain_leaf(v));
}

/* The choke point: from here on bytes flow. Called in one place, for a trusted upstream only. */
static void enter_relay(struct tunnel *t)
{
    const struct connlog c = upstream_connlog(&t->upstream, &t->client_addr);

    if (t->events->opening)
        t->events->opening(t, t->owner);
    t->state = STATE_RELAY;
    t->opened = true;
    t->relay.last_activity = uv_now(&t->thread->loop);
    count_opened(t); /* first: who reads the line may count on it */
    connlog_opened(&c, age(t));
    arm_timer(t);
}

static void tunnel_step(struct tunnel *t)
{
    /* a client that is gone need not wait for the upstream's deadlines */
    if (t->state == STATE_UPSTREAM && endpoint_is_gone(&t->client))
        end_with_resets(t, REASON_CLIENT_RESET, "");
    if (t->state == STATE_UPSTREAM && t->upstream.state == UPSTREAM_FAILED)
        end_refused(t);
    if (t->state == STATE_UPSTREAM && t->upstream.state == UPSTREAM_READY)
        enter_relay(t);
    if (t->state == STATE_RELAY)
        relay(t);
    else if (t->state == STATE_LINGER)
        linger(t);
}

/* Events: each notes a fact and steps. */

static struct tunnel *from_client(struct endpoint *ep)
{
    return container_of(ep, struct tunnel, client);
}

static void on_client_read(struct endpoint *ep, const uint8_t *bytes, size_t n)
{
    struct tunnel *t = from_client(ep);

    thread_turn(t->thread);
    t->relay.client_bytes = bytes;
    t->relay.client_count = n;
    tunnel_step(t);
}

static void on_client_changed(struct endpoint *ep)
{
    struct tunnel *t = from_client(ep);

    thread_turn(t->thread);
    tunnel_step(t);
}

static void on_client_closed(struct endpoint *ep)
{
    release(from_client(ep));
}

static struct tunnel *from_upstream(struct upstream *u)
{
    return container_of(u, struct tunnel, upstream);
}

static void on_upstream_step(struct upstream *u)
{
    tunnel_step(from_upstream(u));
}

static void on_upstream_closed(struct upstream *u)
{
    release(from_upstream(u));
}

static const struct endpoint_events client_events = {on_client_read, on_client_changed,
                                                     on_client_closed};
static const struct upstream_events upstream_events = {on_upstream_step, on_upstream_closed};

struct tunnel *tunnel_start(struct thread *thread, struct snapshot *snapshot,
                            const struct frontend *frontend, const struct stream *client,
                            const struct tunnel_events *events, void *owner)
{
    struct tunnel *t = calloc(1, sizeof(*t));

    if (!t) {
        sock_close_reset(client->fd);
        snapshot_release(snapshot);
        return NULL;
    }
    t->events = events;
    t->owner = owner;
    t->thread = thread;
    t->snapshot = snapshot;
    t->frontend = frontend;
    t->section = frontend->section;
    t->state = STATE_UPSTREAM;
    t->reason = REASON_NONE;
    t->client_addr = client->peer;
    t->started = uv_now(&thread->loop);
    t->checked = clock_now();
    (void)uv_timer_init(&thread->loop, &t->timer); /* cannot fail */
    t->timer.data = t;
    endpoint_open(&t->client, &thread->io, client, frontend->keepalive, &client_events);
    upstream_start(&t->upstream, thread, t->section, UPSTREAM_FOR_TUNNEL, &upstream_events);
    relay_init(&t->relay, &t->client, &t->upstream);
    t->holds = 3;
    return t;
}

static void take_over(struct tunnel *t, struct snapshot *now)
{
    struct snapshot *before = t->snapshot;
    const struct frontend *frontend = snapshot_find_frontend(now, t->frontend->name);
    const struct section *section = snapshot_find(now, t->section->config->name);

    if (!frontend || !section) {
        end_with_resets(t, REASON_PIN_REMOVED, "a reload has removed the section");
        return;
    }
    upstream_set_section(&t->upstream, section);
    /* not the same if the section was away for one reload */
    stats_move(t->section->stats, section->stats);
    t->frontend = frontend;
    t->section = section;
    t->snapshot = snapshot_hold(now);
    snapshot_release(before);
}

void tunnel_apply(struct tunnel *t, struct snapshot *now)
{
    char detail[TRUST_DETAIL_SIZE];
    enum reason reason;

    if (t->state == STATE_UPSTREAM)
        take_over(t, now);
    if (t->state != STATE_RELAY)
        return;
    reason = snapshot_recheck(now, t->section, tls_verdict(t->upstream.tls), t->checked, detail);
    t->checked = clock_now();
    if (reason != REASON_OK)
        end_with_resets(t, reason, detail);
}

void tunnel_kill(struct tunnel *t, enum reason reason)
{
    end_with_resets(t, reason, "");
}

bool tunnel_is_cut(const struct tunnel *t)
{
    return t->cut;
}

const struct upstream *tunnel_upstream(const struct tunnel *t)
{
    return &t->upstream;
}
