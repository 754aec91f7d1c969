#include "proxy/upstream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/units.h"
#include "base/util.h"
#include "net/target.h"
#include "proxy/loss.h"
#include "trust/policy.h"

/* How long upstream_end() waits for the server to end the stream. */
#define ENDING_MS 1000

/* Successive states with the same limit share its time. */
enum limit { LIMIT_NONE, LIMIT_CONNECT, LIMIT_HANDSHAKE, LIMIT_ENDING };

static const enum limit limits[] = {
    [UPSTREAM_NEW] = LIMIT_NONE,        [UPSTREAM_DIAL] = LIMIT_CONNECT,
    [UPSTREAM_DIALOG] = LIMIT_CONNECT,  [UPSTREAM_HANDSHAKE] = LIMIT_HANDSHAKE,
    [UPSTREAM_LEARN] = LIMIT_HANDSHAKE, [UPSTREAM_LEARNED] = LIMIT_HANDSHAKE,
    [UPSTREAM_READY] = LIMIT_NONE,      [UPSTREAM_FAILED] = LIMIT_NONE,
    [UPSTREAM_ENDING] = LIMIT_ENDING,   [UPSTREAM_CLOSING] = LIMIT_NONE,
};

static int64_t limit_ms(const struct upstream *u, enum limit limit)
{
    switch (limit) {
    case LIMIT_NONE:
        break;
    case LIMIT_CONNECT:
        return u->section->config->connect_timeout;
    case LIMIT_HANDSHAKE:
        return u->section->config->handshake_timeout;
    case LIMIT_ENDING:
        return ENDING_MS;
    }
    return 0;
}

static void on_deadline(uv_timer_t *timer);

/* Deadlines are absolute: bytes that trickle in do not extend them. */
static void update_deadline(struct upstream *u, enum limit before)
{
    const enum limit now = limits[u->state];
    const int64_t ms = limit_ms(u, now);

    if (now == before)
        return;
    uv_timer_stop(&u->deadline);
    if (ms > 0)
        uv_timer_start(&u->deadline, on_deadline, (uint64_t)ms, 0);
}

static void update_interest(struct upstream *u)
{
    switch (u->state) {
    case UPSTREAM_DIALOG:
    case UPSTREAM_HANDSHAKE:
    case UPSTREAM_ENDING:
        endpoint_want_read(&u->conn, true);
        break;
    case UPSTREAM_LEARN:
    case UPSTREAM_LEARNED:
    case UPSTREAM_FAILED:
        endpoint_want_read(&u->conn, false);
        break;
    case UPSTREAM_READY: /* the owner reads */
    case UPSTREAM_NEW:   /* there is no connection */
    case UPSTREAM_DIAL:
    case UPSTREAM_CLOSING:
        break;
    }
}

/* The only place that changes the state: what is read and which deadline runs follow from it. */
static void set_state(struct upstream *u, enum upstream_state state)
{
    const enum limit before = limits[u->state];

    u->state = state;
    update_deadline(u, before);
    update_interest(u);
}

static bool is_for_clients(const struct upstream *u)
{
    return u->use == UPSTREAM_FOR_TUNNEL || u->use == UPSTREAM_FOR_WARM;
}

static void upstream_fail(struct upstream *u, enum reason reason, const char *detail)
{
    set_state(u, UPSTREAM_FAILED);
    /* the server has proved that it holds the key: before that, this is not the reason */
    if (reason == REASON_TOFU_CHANGED && is_for_clients(u) && !u->overtaken)
        learn_refused(&u->thread->loop, u->section, tls_verdict(u->tls));
    u->reason = reason;
    free(u->detail);
    u->detail = loss_explain(&u->conn, reason, detail ? detail : "");
    u->events->step(u);
}

static void on_deadline(uv_timer_t *timer)
{
    struct upstream *u = timer->data;
    const bool connecting = limits[u->state] == LIMIT_CONNECT;
    const char *missing = connecting ? "connection" : "TLS handshake", *answer = "";
    const char *obstacle = u->transport ? u->transport->obstacle : NULL;
    char after[UNITS_DURATION_SIZE], detail[256];

    if (u->state == UPSTREAM_ENDING) {
        upstream_close(u, false);
        return;
    }
    if (u->state == UPSTREAM_DIALOG) {
        missing = dialog_current(u->negotiation.dialog)->name;
        answer = " answer";
        obstacle = dialog_obstacle(u->negotiation.dialog);
    }
    units_format_duration(limit_ms(u, limits[u->state]), after);
    snprintf(detail, sizeof(detail), "no %s%s (%s) within %s%s%s", missing, answer,
             connecting ? "connect_timeout" : "handshake_timeout", after, obstacle ? ": " : "",
             obstacle ? obstacle : "");
    transport_cancel(u->transport);
    u->transport = NULL;
    learn_cancel(u->learn);
    u->learn = NULL;
    upstream_fail(u, REASON_TIMEOUT, detail);
}

void upstream_flush(struct upstream *u)
{
    const uint8_t *bytes;
    size_t n = tls_take_records(u->tls, &bytes);

    endpoint_write(&u->conn, bytes, n);
}

static void upstream_step(struct upstream *u);

/*
 * The key is in the file, or the key of another connection was stored first. In both cases the
 * server is judged again, by what the file has now.
 */
static void on_learned(struct learn_owner *owner, enum learned_result result, const char *detail)
{
    struct upstream *u = container_of(owner, struct upstream, learn_owner);

    u->learn = NULL;
    if (result == LEARNED_FAILED) {
        upstream_fail(u, REASON_UNSAVED, detail);
        return;
    }
    set_state(u, UPSTREAM_LEARNED);
    upstream_step(u);
}

/* The server has proved that it holds a key, and its section has none yet. */
static void learn_key(struct upstream *u)
{
    if (u->overtaken) {
        upstream_fail(u, REASON_UNSAVED,
                      "a reload has changed the server's address during the handshake");
        return;
    }
    if (u->use != UPSTREAM_FOR_TUNNEL) {
        upstream_fail(u, REASON_FIRST_USE, tls_verdict(u->tls)->detail);
        return;
    }
    if (u->state == UPSTREAM_LEARNED) {
        upstream_fail(u, REASON_UNSAVED, "it was removed as soon as it was stored");
        return;
    }
    set_state(u, UPSTREAM_LEARN);
    u->learn_owner.done = on_learned;
    u->learn = learn_first_use(&u->thread->loop, u->section, tls_verdict(u->tls), &u->learn_owner);
    if (!u->learn)
        upstream_fail(u, REASON_MEMORY, "");
}

/* Fails because the stream has failed during the handshake. */
static void fail_lost(struct upstream *u)
{
    const bool is_known = u->conn.error == UV_ETIMEDOUT || u->conn.kind == STREAM_TERMINAL;

    upstream_fail(u, REASON_TLS, is_known ? loss_describe(&u->conn) : tls_loss(u->tls, true));
}

static void handshake(struct upstream *u)
{
    enum tls_result result = tls_handshake(u->tls, clock_now());
    const char *detail;
    enum reason reason;

    upstream_flush(u); /* in every case, so that the server receives the alert */
    switch (result) {
    case TLS_OK:
        /* the only place: tls_handshake() returns this only for a server that the policy trusts */
        set_state(u, UPSTREAM_READY);
        u->readable = true; /* data may have come with the last flight */
        u->events->step(u);
        return;
    case TLS_WANT_READ:
        if (u->conn.error)
            fail_lost(u);
        return;
    case TLS_FIRST_USE:
        learn_key(u);
        return;
    case TLS_CLOSED:
    case TLS_TRUNCATED:
    case TLS_FAILED:
        break;
    }
    reason = tls_failure(u->tls, &detail);
    upstream_fail(u, reason, detail);
}

static void start_tls(struct upstream *u)
{
    u->tls = tls_new(u->section->ctx, u->section->policy, &u->thread->tls, is_for_clients(u));
    if (!u->tls) {
        upstream_fail(u, REASON_MEMORY, "");
        return;
    }
    set_state(u, UPSTREAM_HANDSHAKE);
    handshake(u);
}

static void close_and_dial(struct upstream *u)
{
    set_state(u, UPSTREAM_DIAL);
    endpoint_close(&u->conn, false); /* on_conn_closed() dials */
}

static void take_negotiation(struct upstream *u, enum negotiation_result result)
{
    char detail[NEGOTIATION_DETAIL_SIZE];
    enum reason reason;

    switch (result) {
    case NEGOTIATION_MORE:
        break;
    case NEGOTIATION_DONE:
        start_tls(u);
        break;
    case NEGOTIATION_AGAIN:
        close_and_dial(u);
        break;
    case NEGOTIATION_FAILED:
        reason = negotiation_failure(&u->negotiation, u->section, detail);
        upstream_fail(u, reason, detail);
        break;
    }
}

static void end_negotiation(struct upstream *u)
{
    take_negotiation(u, negotiation_end(&u->negotiation, u->section, loss_describe(&u->conn)));
}

/* Passes to the dialogs what the server has sent. Starts TLS after the last one. */
static void negotiate(struct upstream *u, const uint8_t *bytes, size_t n)
{
    const enum negotiation_result result = negotiation_feed(&u->negotiation, u->section, &u->conn,
                                                            bytes, n);

    if (result == NEGOTIATION_MORE && u->conn.error)
        end_negotiation(u);
    else
        take_negotiation(u, result);
}

static void start_negotiation(struct upstream *u)
{
    if (!negotiation_begin(&u->negotiation, u->section)) {
        upstream_fail(u, REASON_MEMORY, "");
        return;
    }
    set_state(u, UPSTREAM_DIALOG);
    negotiate(u, NULL, 0);
}

static void upstream_step(struct upstream *u)
{
    thread_turn(u->thread); /* may close the connection, or replace its section */
    if (u->state == UPSTREAM_HANDSHAKE || u->state == UPSTREAM_LEARNED)
        handshake(u);
    else if (u->state == UPSTREAM_READY)
        u->events->step(u);
}

static struct upstream *from_conn(struct endpoint *ep)
{
    return container_of(ep, struct upstream, conn);
}

static void on_read(struct endpoint *ep, const uint8_t *bytes, size_t n)
{
    struct upstream *u = from_conn(ep);

    if (u->state == UPSTREAM_ENDING)
        return;
    if (u->state == UPSTREAM_DIALOG) {
        thread_turn(u->thread);
        if (u->state == UPSTREAM_DIALOG)
            negotiate(u, bytes, n);
        return;
    }
    tls_put_records(u->tls, bytes, n);
    u->readable = true;
    upstream_step(u);
}

static void on_changed(struct endpoint *ep)
{
    struct upstream *u = from_conn(ep);

    if (u->state == UPSTREAM_ENDING) {
        if (ep->eof || ep->error || ep->write_error)
            upstream_close(u, false);
        return;
    }
    if (u->state == UPSTREAM_DIALOG) {
        if (ep->eof || ep->error)
            end_negotiation(u);
        return;
    }
    if (u->state == UPSTREAM_HANDSHAKE && ep->error) {
        fail_lost(u);
        return;
    }
    if (ep->eof || ep->error) {
        tls_put_end(u->tls);
        u->readable = true;
    }
    upstream_step(u);
}

static void upstream_release(struct upstream *u)
{
    if (--u->holds > 0)
        return;
    negotiation_clear(&u->negotiation);
    tls_free(u->tls);
    u->tls = NULL;
    free(u->detail);
    u->detail = NULL;
    u->events->closed(u);
}

static void start_dial(struct upstream *u);

static void on_conn_closed(struct endpoint *ep)
{
    struct upstream *u = from_conn(ep);

    if (u->state == UPSTREAM_DIAL)
        start_dial(u);
    upstream_release(u);
}

static void on_timer_closed(uv_handle_t *handle)
{
    upstream_release(handle->data);
}

static const struct endpoint_events conn_events = {on_read, on_changed, on_conn_closed};

static void on_connected(struct transport_owner *owner, const struct stream *stream)
{
    struct upstream *u = container_of(owner, struct upstream, transport_owner);

    u->transport = NULL;
    u->filter = u->section->filter;
    u->send_proxy = u->section->config->send_proxy;
    if (!target_has_parent(u->section->config))
        u->peer = stream->peer;
    endpoint_open(&u->conn, &u->thread->io, stream, u->section->config->keepalive, &conn_events);
    u->holds++;
    if (u->section->dialogs.count > 0)
        start_negotiation(u);
    else
        start_tls(u);
}

static void on_not_connected(struct transport_owner *owner, enum reason reason, const char *detail)
{
    struct upstream *u = container_of(owner, struct upstream, transport_owner);

    u->transport = NULL;
    upstream_fail(u, reason, detail);
}

static void on_no_memory(uv_timer_t *timer)
{
    upstream_fail(timer->data, REASON_MEMORY, "");
}

static void start_dial(struct upstream *u)
{
    u->overtaken = false;
    if (u->section->outer)
        u->transport = u->thread->start_outer(u->thread, u->section, &u->transport_owner);
    else
        u->transport = transport_start(u->section->transport, &u->thread->loop, u->thread->resolver,
                                       u->section->config, &u->transport_owner);
    if (!u->transport)
        uv_timer_start(&u->deadline, on_no_memory, 0, 0);
}

void upstream_start(struct upstream *u, struct thread *thread, const struct section *section,
                    enum upstream_use use, const struct upstream_events *events)
{
    memset(u, 0, sizeof(*u));
    u->events = events;
    u->thread = thread;
    u->section = section;
    u->use = use;
    u->transport_owner = (struct transport_owner){on_connected, on_not_connected};
    (void)uv_timer_init(&thread->loop, &u->deadline); /* cannot fail */
    u->deadline.data = u;
    u->holds = 1;
    set_state(u, UPSTREAM_DIAL);
    start_dial(u);
}

void upstream_set_section(struct upstream *u, const struct section *section)
{
    const bool same = memcmp(u->section->policy->id, section->policy->id, POLICY_ID_SIZE) == 0;
    const bool same_dialogs = negotiation_is_same(u->section, section);

    u->overtaken |= u->conn.open && !target_is_same_server(u->section->config, section->config);
    u->section = section;
    if (u->state == UPSTREAM_LEARNED)
        set_state(u, UPSTREAM_HANDSHAKE); /* the key was stored for the section before */
    if (u->tls)
        tls_set_policy(u->tls, section->policy);
    if (!same_dialogs && (u->state == UPSTREAM_DIAL || u->state == UPSTREAM_DIALOG))
        negotiation_clear(&u->negotiation);
    if (!same_dialogs && u->state == UPSTREAM_DIALOG) {
        u->peer = (struct addr){0};
        close_and_dial(u);
    }
    if (!u->transport)
        return;
    if (same) {
        transport_set_section(u->transport, section->config);
        return;
    }
    transport_cancel(u->transport);
    start_dial(u);
}

void upstream_end(struct upstream *u)
{
    if (u->state == UPSTREAM_CLOSING || u->state == UPSTREAM_ENDING)
        return;
    if (!u->tls) {
        upstream_close(u, false);
        return;
    }
    set_state(u, UPSTREAM_ENDING);
    tls_close_notify(u->tls);
    upstream_flush(u);
    endpoint_shutdown(&u->conn);
    if (u->conn.eof || u->conn.error || u->conn.write_error)
        upstream_close(u, false);
}

void upstream_close(struct upstream *u, bool reset)
{
    if (u->state == UPSTREAM_CLOSING)
        return;
    set_state(u, UPSTREAM_CLOSING);
    transport_cancel(u->transport);
    u->transport = NULL;
    learn_cancel(u->learn);
    u->learn = NULL;
    endpoint_close(&u->conn, reset);
    uv_close((uv_handle_t *)&u->deadline, on_timer_closed);
}

const char *upstream_name(const struct upstream *u, char out[SECTION_UPSTREAM_SIZE])
{
    return section_upstream(u->section, &u->peer, out);
}

struct connlog upstream_connlog(const struct upstream *u, const struct addr *client)
{
    return (struct connlog){.name = u->section->config->name,
                            .client = client,
                            .section = u->section,
                            .peer = &u->peer,
                            .tls = u->tls};
}
