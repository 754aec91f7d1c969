#include "proxy/tunnel.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/sock.h"
#include "base/util.h"
#include "net/endpoint.h"
#include "proxy/connlog.h"
#include "proxy/greeting.h"
#include "proxy/relay.h"
#include "proxy/route.h"
#include "proxy/upstream.h"
#include "trust/peerchain.h"

/* LINGER checks this often whether the client's kernel has the last bytes ... */
#define LINGER_POLL_MS 20
/* ... and waits this long at most. A reset then discards what it has not taken. */
#define LINGER_MS 5000

enum state { STATE_GREETING, STATE_UPSTREAM, STATE_RELAY, STATE_LINGER, STATE_CLOSING };

struct tunnel {
    const struct tunnel_events *events;
    void *owner;
    struct thread *thread;
    struct route route;
    enum state state;
    enum reason reason;

    struct endpoint client;
    struct addr client_addr;
    struct greeting greeting;
    struct upstream upstream;
    struct relay relay;
    uv_timer_t timer;
    int holds; /* the client's handle, the timer, and the upstream if it was started */

    bool has_upstream;
    bool opened;      /* RELAY was reached */
    bool cut;         /* the server's stream broke off */
    int64_t armed;    /* RELAY: the limit that the timer was set for; 0: none */
    uint64_t started; /* loop time, as all times here */
    uint64_t linger_until;
    int64_t rechecked_at; /* seconds since the epoch; by then its pin had not ended */

    _Alignas(max_align_t) uint8_t front_state[];
};

static void tunnel_step(struct tunnel *t);

/* Endings. */

static bool is_opening(const struct tunnel *t)
{
    return t->state == STATE_GREETING || t->state == STATE_UPSTREAM;
}

static void release_tunnel(struct tunnel *t)
{
    if (--t->holds > 0)
        return;
    t->events->freed(t, t->owner);
    route_release(&t->route);
    greeting_free(&t->greeting);
    relay_free(&t->relay);
    free(t);
}

static void on_timer_closed(uv_handle_t *handle)
{
    release_tunnel(handle->data);
}

/* Returns the milliseconds that have passed since then, which is loop time. */
static int64_t since(const struct tunnel *t, uint64_t then)
{
    return (int64_t)(uv_now(&t->thread->loop) - then);
}

static struct connlog describe(const struct tunnel *t)
{
    if (t->has_upstream)
        return upstream_connlog(&t->upstream, &t->client_addr);
    return (struct connlog){
        .name = t->route.frontend->name, .client = &t->client_addr, .section = t->route.section};
}

static void close_upstream(struct tunnel *t, bool reset)
{
    if (t->has_upstream)
        upstream_close(&t->upstream, reset);
}

static void close_all(struct tunnel *t, bool reset_client, bool reset_upstream)
{
    if (t->state == STATE_CLOSING)
        return;
    t->state = STATE_CLOSING;
    endpoint_close(&t->client, reset_client);
    close_upstream(t, reset_upstream);
    uv_close((uv_handle_t *)&t->timer, on_timer_closed);
}

/* Notes how the tunnel ended. The first reason counts, and is logged here and nowhere else. */
static void note_end(struct tunnel *t, enum reason reason, const char *detail)
{
    const struct connlog_totals totals = {t->relay.sent, t->relay.received, since(t, t->started)};
    const struct connlog c = describe(t);

    if (t->reason != REASON_NONE)
        return;
    t->reason = reason;
    stats_ended(t->route.stats, reason); /* first: who reads the line finds it counted */
    connlog_ended(&c, t->opened, reason, detail, &totals);
    if (t->events->ended)
        t->events->ended(t, reason, detail, t->owner);
}

static void linger(struct tunnel *t)
{
    const bool delivered = endpoint_is_idle(&t->client) && endpoint_unsent(&t->client) == 0;

    if (delivered || t->client.write_error || uv_now(&t->thread->loop) >= t->linger_until)
        close_all(t, t->cut, false);
}

static void on_linger(uv_timer_t *timer)
{
    tunnel_step(timer->data);
}

/* Closes the upstream now, and the client when its kernel has what was written to it. */
static void start_linger(struct tunnel *t, bool reset_upstream)
{
    t->state = STATE_LINGER;
    t->linger_until = uv_now(&t->thread->loop) + LINGER_MS;
    endpoint_want_read(&t->client, false);
    close_upstream(t, reset_upstream);
    uv_timer_start(&t->timer, on_linger, LINGER_POLL_MS, LINGER_POLL_MS);
    linger(t);
}

/* The stream broke off: gives the client what was authenticated, then a reset. */
static void cut_tunnel(struct tunnel *t, enum reason reason, const char *detail)
{
    t->cut = true;
    note_end(t, reason, detail);
    start_linger(t, false);
}

/* Ends the stream in order on both sides. */
static void close_gracefully(struct tunnel *t, enum reason reason)
{
    note_end(t, reason, "");
    if (!t->relay.close_notify_sent) {
        tls_close_notify(t->upstream.tls);
        upstream_flush(&t->upstream);
    }
    endpoint_shutdown(&t->client);
    close_all(t, false, false);
}

static void abort_tunnel(struct tunnel *t, enum reason reason, const char *detail)
{
    note_end(t, reason, detail);
    close_all(t, true, true);
}

/*
 * Ends a tunnel that never opened. The client gets the front's answer and the end of the stream, or
 * a reset if the front has no answer.
 */
static void refuse_client(struct tunnel *t, enum reason reason, const char *detail,
                          bool reset_upstream)
{
    note_end(t, reason, detail);
    if (!greeting_reply(&t->greeting, reason)) {
        close_all(t, true, reset_upstream);
        return;
    }
    endpoint_shutdown(&t->client);
    start_linger(t, reset_upstream);
}

/* Deadlines of RELAY. They are checked when the timer fires, not moved with each byte. */

static void arm_timer(struct tunnel *t);
static void take_result(struct tunnel *t, struct relay_end end);

static void on_inactivity(struct tunnel *t, enum reason reason)
{
    const bool client_has_finished = t->relay.close_notify_sent || t->client.fin_received;

    /*
     * A clean end would lose what still waits for the client. And if the client has finished, it
     * would make half of the server's answer look whole.
     */
    if (endpoint_is_idle(&t->client) && (t->relay.fin_sent || !client_has_finished))
        close_gracefully(t, reason);
    else
        abort_tunnel(t, reason, "");
}

static void on_timer(uv_timer_t *timer)
{
    struct tunnel *t = timer->data;
    enum reason reason;

    thread_turn(t->thread);
    if (t->state != STATE_RELAY)
        return;
    t->armed = 0;
    if (since(t, t->relay.last_activity) < relay_limit(&t->relay, &reason))
        arm_timer(t);
    else if (reason == REASON_NONE)
        take_result(t, relay_hurry(&t->relay));
    else
        on_inactivity(t, reason);
}

/* Sets the timer if another limit holds now than when it was set. */
static void arm_timer(struct tunnel *t)
{
    const int64_t quiet = since(t, t->relay.last_activity);
    enum reason reason;
    const int64_t limit = relay_limit(&t->relay, &reason);

    if (limit == t->armed)
        return;
    t->armed = limit;
    if (limit == 0)
        uv_timer_stop(&t->timer);
    else
        uv_timer_start(&t->timer, on_timer, quiet < limit ? (uint64_t)(limit - quiet) : 0, 0);
}

static void take_result(struct tunnel *t, struct relay_end end)
{
    switch (end.result) {
    case RELAY_OPEN:
        arm_timer(t);
        break;
    case RELAY_FINISHED:
        close_gracefully(t, REASON_OK);
        break;
    case RELAY_CUT:
        cut_tunnel(t, end.reason, end.detail);
        break;
    case RELAY_ABORTED:
        abort_tunnel(t, end.reason, end.detail);
        break;
    }
}

/* The greeting. */

static void on_upstream_step(struct upstream *u)
{
    tunnel_step(container_of(u, struct tunnel, upstream));
}

static void on_upstream_closed(struct upstream *u)
{
    release_tunnel(container_of(u, struct tunnel, upstream));
}

static const struct upstream_events upstream_events = {on_upstream_step, on_upstream_closed};

static void start_upstream(struct tunnel *t)
{
    t->state = STATE_UPSTREAM;
    t->has_upstream = true;
    t->holds++;
    upstream_start(&t->upstream, t->thread, t->route.section, UPSTREAM_FOR_TUNNEL,
                   &upstream_events);
}

/* Gives the front what the client has sent. The first call has no bytes. */
static void greet(struct tunnel *t, const uint8_t *bytes, size_t n)
{
    struct front_target target;
    enum reason reason = greeting_feed(&t->greeting, bytes, n, &target);

    if (reason == REASON_OK && !t->route.section && !route_choose(&t->route, &target))
        reason = REASON_UNKNOWN_HOST;
    if (reason == REASON_OK)
        start_upstream(t);
    else if (reason != REASON_NONE)
        refuse_client(t, reason, "", false);
}

static void step_greeting(struct tunnel *t)
{
    const uint8_t *bytes = t->relay.client_bytes;

    t->relay.client_bytes = NULL;
    if (bytes)
        greet(t, bytes, t->relay.client_count);
    if (t->state != STATE_GREETING || !t->client.eof)
        return;
    note_end(t, REASON_OK, "the client closed before its greeting was complete");
    close_all(t, false, false);
}

static void count_opened(const struct tunnel *t)
{
    const struct trust_verdict *v = tls_verdict(t->upstream.tls);

    if (v->reported != REASON_OK)
        stats_add(t->route.stats, STATS_MISMATCHES, 1);
    stats_opened(t->route.stats, v->pin ? pin_label(v->pin) : "", peerchain_leaf(v));
}

/* The choke point: from here on bytes flow. Called in one place, for a trusted upstream only. */
static void enter_relay(struct tunnel *t)
{
    const struct connlog c = describe(t);
    struct relay_end end;

    if (t->events->opening)
        t->events->opening(t, t->owner);
    t->state = STATE_RELAY;
    t->opened = true;
    t->relay.last_activity = uv_now(&t->thread->loop);
    count_opened(t); /* first: who reads the line finds it counted */
    connlog_opened(&c, since(t, t->started));
    arm_timer(t);
    /* the only place that reports success to a client; it goes before any byte of the server */
    (void)greeting_reply(&t->greeting, REASON_OK);
    end = relay_start(&t->relay);
    t->relay.client_bytes = t->greeting.early;
    t->relay.client_count = t->greeting.early_count;
    if (end.result == RELAY_OPEN)
        end = relay_step(&t->relay);
    take_result(t, end);
    greeting_free(&t->greeting);
}

static void tunnel_step(struct tunnel *t)
{
    /* a client that has reset does not wait for the upstream's deadlines */
    if (is_opening(t) && endpoint_is_gone(&t->client))
        abort_tunnel(t, REASON_CLIENT_RESET, "");
    switch (t->state) {
    case STATE_GREETING:
        step_greeting(t);
        break;
    case STATE_UPSTREAM:
        if (t->upstream.state == UPSTREAM_FAILED)
            refuse_client(t, t->upstream.reason, t->upstream.detail, false);
        else if (t->upstream.state == UPSTREAM_READY)
            enter_relay(t);
        break;
    case STATE_RELAY:
        take_result(t, relay_step(&t->relay));
        break;
    case STATE_LINGER:
        linger(t);
        break;
    case STATE_CLOSING:
        break;
    }
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
    release_tunnel(from_client(ep));
}

static const struct endpoint_events client_events = {on_client_read, on_client_changed,
                                                     on_client_closed};

struct tunnel *tunnel_start(struct thread *thread, struct snapshot *snapshot,
                            const struct frontend *frontend, const struct stream *client,
                            const struct tunnel_events *events, void *owner)
{
    struct tunnel *t = calloc(1, sizeof(*t) + frontend->front->size);

    if (!t) {
        sock_close_reset(client->fd);
        snapshot_release(snapshot);
        return NULL;
    }
    t->events = events;
    t->owner = owner;
    t->thread = thread;
    route_init(&t->route, snapshot, frontend);
    t->state = STATE_GREETING;
    t->reason = REASON_NONE;
    t->client_addr = client->peer;
    t->started = uv_now(&thread->loop);
    t->rechecked_at = clock_now();
    (void)uv_timer_init(&thread->loop, &t->timer); /* cannot fail */
    t->timer.data = t;
    endpoint_open(&t->client, &thread->io, client, frontend->keepalive, &client_events);
    greeting_init(&t->greeting, frontend->front, t->front_state, &t->client);
    relay_init(&t->relay, &t->client, &t->upstream);
    t->holds = 2;
    greet(t, NULL, 0);
    assert(is_opening(t)); /* front.h: no refusal yet, of which the owner would be notified */
    return t;
}

/* Continues a tunnel that is not open under another snapshot. */
static void take_over(struct tunnel *t, struct snapshot *latest)
{
    struct route next;

    if (!route_find(&t->route, latest, &next)) {
        refuse_client(t, REASON_PIN_REMOVED, "a reload has removed the section", true);
        return;
    }
    if (t->has_upstream)
        upstream_set_section(&t->upstream, next.section); /* compares it with the one before */
    route_replace(&t->route, &next);
}

void tunnel_apply(struct tunnel *t, struct snapshot *latest)
{
    char detail[TRUST_DETAIL_SIZE];
    enum reason reason;

    if (is_opening(t))
        take_over(t, latest);
    if (t->state != STATE_RELAY)
        return;
    reason = snapshot_recheck(latest, t->route.section, tls_verdict(t->upstream.tls),
                              t->rechecked_at, detail);
    t->rechecked_at = clock_now();
    if (reason != REASON_OK)
        abort_tunnel(t, reason, detail);
}

void tunnel_kill(struct tunnel *t, enum reason reason)
{
    abort_tunnel(t, reason, "");
}

bool tunnel_is_cut(const struct tunnel *t)
{
    return t->cut;
}

const struct upstream *tunnel_upstream(const struct tunnel *t)
{
    return &t->upstream;
}
