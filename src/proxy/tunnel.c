#include "proxy/tunnel.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/sock.h"
#include "base/util.h"
#include "proxy/deadline.h"
#include "proxy/early.h"
#include "proxy/proxyheader.h"
#include "trust/peerchain.h"

static void tunnel_step(struct tunnel *t);

static bool is_opening(const struct tunnel *t)
{
    return t->state == TUNNEL_GREETING || t->state == TUNNEL_UPSTREAM;
}

/* Returns the milliseconds that have passed since then, which is loop time. */
static int64_t since(const struct tunnel *t, uint64_t then)
{
    return (int64_t)(uv_now(&t->thread->loop) - then);
}

/* Deadlines of RELAY (deadline.h). They are checked when the timer fires, not moved with each byte. */

static void arm_timer(struct tunnel *t);
static void take_result(struct tunnel *t, struct relay_end end);

static struct deadline next_deadline(const struct tunnel *t)
{
    const struct config_section *s = t->upstream.section->config;
    struct deadline_facts f = {.opened = (int64_t)t->opened_at,
                               .idle_timeout = s->idle_timeout,
                               .half_close_timeout = s->half_close_timeout,
                               .max_lifetime = s->max_lifetime,
                               .drain_timeout = t->route.snapshot->config->global.drain_timeout};

    relay_facts(&t->relay, &f);
    return deadline_next(&f);
}

static void on_timer(uv_timer_t *timer)
{
    struct tunnel *t = timer->data;
    struct deadline d;

    thread_turn(t->thread);
    if (t->state != TUNNEL_RELAY)
        return;
    t->armed = 0;
    d = next_deadline(t);
    if (d.action == DEADLINE_NONE || d.at > (int64_t)uv_now(&t->thread->loop))
        arm_timer(t);
    else if (d.action == DEADLINE_HURRY)
        take_result(t, relay_hurry(&t->relay));
    else if (d.action == DEADLINE_CLOSE)
        ending_gracefully(t, d.reason);
    else
        ending_abort(t, d.reason, "");
}

/* Sets the timer if it would fire too late. If it fires too early, it is set for the rest. */
static void arm_timer(struct tunnel *t)
{
    const struct config_section *s = t->upstream.section->config;
    const int64_t now = (int64_t)uv_now(&t->thread->loop);
    struct deadline d;

    /* most tunnels, at each of their bytes */
    if (s->idle_timeout == 0 && s->max_lifetime == 0 && !relay_is_waiting(&t->relay))
        return;
    d = next_deadline(t);
    if (d.action == DEADLINE_NONE || (t->armed && t->armed <= d.at))
        return;
    t->armed = d.at;
    uv_timer_start(&t->timer, on_timer, d.at > now ? (uint64_t)(d.at - now) : 0, 0);
}

static void take_result(struct tunnel *t, struct relay_end end)
{
    switch (end.result) {
    case RELAY_OPEN:
        arm_timer(t);
        break;
    case RELAY_FINISHED:
        ending_gracefully(t, REASON_OK);
        break;
    case RELAY_CUT:
        ending_cut(t, end.reason, end.detail);
        break;
    case RELAY_ABORTED:
        ending_abort(t, end.reason, end.detail);
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
    ending_release(container_of(u, struct tunnel, upstream));
}

static const struct upstream_events upstream_events = {on_upstream_step, on_upstream_closed};

static void start_upstream(struct tunnel *t, enum tunnel_state state, enum upstream_use use)
{
    t->state = state;
    t->has_upstream = true;
    t->holds++;
    upstream_start(&t->upstream, t->thread, t->route.section, use, &upstream_events);
}

/* Gives the front what the client has sent. The first call has no bytes. */
static void greet(struct tunnel *t, const uint8_t *bytes, size_t n)
{
    struct front_target target;
    enum reason reason = greeting_feed(&t->greeting, bytes, n, &target);

    if (reason == REASON_OK && !t->route.section && !route_choose(&t->route, &target))
        reason = REASON_UNKNOWN_HOST;
    if (reason == REASON_OK)
        start_upstream(t, TUNNEL_UPSTREAM,
                       t->thread->probes ? UPSTREAM_FOR_PROBE : UPSTREAM_FOR_TUNNEL);
    else if (reason != REASON_NONE)
        ending_refuse(t, reason, "", false);
}

static void step_greeting(struct tunnel *t)
{
    const uint8_t *bytes = t->relay.client_bytes;

    t->relay.client_bytes = NULL;
    if (bytes)
        greet(t, bytes, t->relay.client_count);
    if (t->state != TUNNEL_GREETING || !t->client.eof)
        return;
    ending_note(t, REASON_OK, "the client closed before its greeting was complete");
    ending_close(t, false, false);
}

static void count_opened(const struct tunnel *t)
{
    const struct trust_verdict *v = tls_verdict(t->upstream.tls);

    if (v->reported != REASON_OK)
        stats_add(t->route.stats, STATS_MISMATCHES, 1);
    stats_opened(t->route.stats, v->pin ? pin_label(v->pin) : "", peerchain_leaf(v));
}

/* Names the client to the server, before any byte of the client. */
static struct relay_end send_proxy_header(struct tunnel *t)
{
    const struct addr listener = endpoint_local(&t->client);
    uint8_t header[PROXYHEADER_MAX];
    const size_t n = proxyheader_make(t->upstream.send_proxy, &t->client_addr, &listener, header);

    return relay_send_header(&t->relay, header, n);
}

/* The choke point: from here on bytes flow. Called in one place, for a trusted upstream only. */
static void enter_relay(struct tunnel *t)
{
    const struct connlog c = ending_connlog(t);
    struct relay_end end = {.result = RELAY_OPEN};

    if (t->events->opening)
        t->events->opening(t, t->owner);
    t->state = TUNNEL_RELAY;
    t->opened = true;
    t->opened_at = t->relay.last_activity = uv_now(&t->thread->loop);
    count_opened(t); /* first: who reads the line finds it counted */
    connlog_opened(&c, since(t, t->started));
    arm_timer(t);
    /* the only place that reports success to a client; it goes before any byte of the server */
    (void)greeting_reply(&t->greeting, REASON_OK);
    if (t->upstream.send_proxy != SEND_PROXY_OFF && !t->route.frontend->is_outer)
        end = send_proxy_header(t);
    if (end.result == RELAY_OPEN)
        end = relay_start(&t->relay, t->route.frontend->is_outer);
    t->relay.client_bytes = t->greeting.early;
    t->relay.client_count = t->greeting.early_count;
    if (end.result == RELAY_OPEN)
        end = relay_step(&t->relay);
    take_result(t, end);
    greeting_free(&t->greeting);
}

static void step_warm(struct tunnel *t)
{
    struct upstream *u = &t->upstream;
    enum reason reason = u->reason;
    const char *detail = u->detail;

    if (u->state == UPSTREAM_READY) {
        reason = early_read(u, &detail);
        if (reason == REASON_OK && t->opened_at == 0) {
            t->opened_at = uv_now(&t->thread->loop);
            t->events->opening(t, t->owner);
        }
        if (reason == REASON_OK)
            return;
    }
    ending_warm(t, reason, detail);
}

static void tunnel_step(struct tunnel *t)
{
    /* a client that has reset does not wait for the upstream's deadlines */
    if (is_opening(t) && endpoint_is_gone(&t->client))
        ending_abort(t, REASON_CLIENT_RESET, "");
    switch (t->state) {
    case TUNNEL_WARM:
        step_warm(t);
        break;
    case TUNNEL_GREETING:
        step_greeting(t);
        break;
    case TUNNEL_UPSTREAM:
        if (t->upstream.state == UPSTREAM_FAILED)
            ending_refuse(t, t->upstream.reason, t->upstream.detail, false);
        else if (t->upstream.state == UPSTREAM_READY)
            enter_relay(t);
        break;
    case TUNNEL_RELAY:
        take_result(t, relay_step(&t->relay));
        break;
    case TUNNEL_LINGER:
        ending_linger(t);
        break;
    case TUNNEL_CLOSING:
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
    ending_release(from_client(ep));
}

static const struct endpoint_events client_events = {on_client_read, on_client_changed,
                                                     on_client_closed};

/* Creates a tunnel without handles but its timer. Takes ownership of a reference to the snapshot. */
static struct tunnel *create(struct thread *thread, struct snapshot *snapshot,
                             const struct frontend *frontend, const struct tunnel_events *events,
                             void *owner)
{
    struct tunnel *t = calloc(1, sizeof(*t) + frontend->front->size);

    if (!t) {
        snapshot_release(snapshot);
        return NULL;
    }
    t->events = events;
    t->owner = owner;
    t->thread = thread;
    route_init(&t->route, snapshot, frontend);
    t->reason = REASON_NONE;
    (void)uv_timer_init(&thread->loop, &t->timer); /* cannot fail */
    t->timer.data = t;
    greeting_init(&t->greeting, frontend->front, t->front_state, &t->client);
    relay_init(&t->relay, &t->client, &t->upstream);
    t->holds = 1;
    return t;
}

static void add_client(struct tunnel *t, const struct stream *client)
{
    t->client_addr = client->peer;
    t->started = uv_now(&t->thread->loop);
    t->rechecked_at = clock_now();
    endpoint_open(&t->client, &t->thread->io, client, t->route.frontend->keepalive, &client_events);
    t->holds++;
}

struct tunnel *tunnel_start(struct thread *thread, struct snapshot *snapshot,
                            const struct frontend *frontend, const struct stream *client,
                            const struct tunnel_events *events, void *owner)
{
    struct tunnel *t = create(thread, snapshot, frontend, events, owner);

    if (!t) {
        sock_close_reset(client->fd);
        return NULL;
    }
    t->state = TUNNEL_GREETING;
    add_client(t, client);
    greet(t, NULL, 0);
    assert(is_opening(t)); /* front.h: no refusal yet, of which the owner would be notified */
    return t;
}

struct tunnel *tunnel_start_warm(struct thread *thread, struct snapshot *snapshot,
                                 const struct frontend *frontend,
                                 const struct tunnel_events *events, void *owner)
{
    struct tunnel *t = create(thread, snapshot, frontend, events, owner);

    if (t)
        start_upstream(t, TUNNEL_WARM, UPSTREAM_FOR_WARM);
    return t;
}

/* Judges a server that was trusted again, by this section. Ends the warm tunnel if it is not now. */
static bool judge_again(struct tunnel *t, const struct section *section)
{
    struct upstream *u = &t->upstream;
    enum reason reason;
    const char *detail;

    u->section = section;
    if (tls_judge_again(u->tls, section->policy, clock_now()) == TLS_OK)
        return true;
    reason = tls_failure(u->tls, &detail);
    ending_warm(t, reason, detail);
    return false;
}

bool tunnel_is_ready(struct tunnel *t)
{
    return t->state == TUNNEL_WARM && early_is_usable(&t->upstream)
           && judge_again(t, t->route.section);
}

void tunnel_attach(struct tunnel *t, const struct stream *client,
                   const struct tunnel_events *events, void *owner)
{
    assert(t->state == TUNNEL_WARM && t->upstream.state == UPSTREAM_READY);
    t->events = events;
    t->owner = owner;
    t->state = TUNNEL_UPSTREAM;
    endpoint_want_read(&t->upstream.conn, false);
    add_client(t, client);
    tunnel_step(t);
}

void tunnel_end_warm(struct tunnel *t)
{
    ending_warm(t, REASON_OK, "");
}

/* Continues a tunnel that is not open under another snapshot. */
static void take_over(struct tunnel *t, struct snapshot *latest)
{
    struct route next;

    if (!route_find(&t->route, latest, &next)) {
        ending_refuse(t, REASON_PIN_REMOVED, "a reload has removed the section", true);
        return;
    }
    if (t->has_upstream)
        upstream_set_section(&t->upstream, next.section); /* compares it with the one before */
    route_replace(&t->route, &next);
}

static void take_over_warm(struct tunnel *t, struct snapshot *latest)
{
    struct route next;

    if (!route_find(&t->route, latest, &next)) {
        tunnel_end_warm(t);
        return;
    }
    if (t->upstream.state == UPSTREAM_READY)
        (void)judge_again(t, next.section);
    else
        upstream_set_section(&t->upstream, next.section);
    route_replace(&t->route, &next); /* it ends under the latest, too */
}

void tunnel_apply(struct tunnel *t, struct snapshot *latest)
{
    char detail[TRUST_DETAIL_SIZE];
    enum reason reason;

    if (is_opening(t))
        take_over(t, latest);
    if (t->state == TUNNEL_WARM)
        take_over_warm(t, latest);
    if (t->state != TUNNEL_RELAY)
        return;
    reason = snapshot_recheck(latest, t->route.section, tls_verdict(t->upstream.tls),
                              t->rechecked_at, detail);
    t->rechecked_at = clock_now();
    if (reason != REASON_OK)
        ending_abort(t, reason, detail);
}

void tunnel_kill(struct tunnel *t, enum reason reason)
{
    ending_abort(t, reason, "");
}

bool tunnel_is_cut(const struct tunnel *t)
{
    return t->cut;
}

const struct upstream *tunnel_upstream(const struct tunnel *t)
{
    return &t->upstream;
}
