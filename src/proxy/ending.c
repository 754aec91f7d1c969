#include "proxy/ending.h"

#include <stdlib.h>

/* LINGER checks this often whether the client's kernel has the last bytes ... */
#define LINGER_POLL_MS 20
/* ... and waits this long at most. A reset then discards what it has not taken. */
#define LINGER_MS 5000

struct connlog ending_connlog(const struct tunnel *t)
{
    if (t->has_upstream)
        return upstream_connlog(&t->upstream, t->state == TUNNEL_WARM ? NULL : &t->client_addr);
    return (struct connlog){
        .name = t->route.frontend->name, .client = &t->client_addr, .section = t->route.section};
}

void ending_release(struct tunnel *t)
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
    ending_release(handle->data);
}

void ending_note(struct tunnel *t, enum reason reason, const char *detail)
{
    const struct connlog_totals totals = {t->relay.sent, t->relay.received,
                                          (int64_t)(uv_now(&t->thread->loop) - t->started)};
    const struct connlog c = ending_connlog(t);

    if (t->reason != REASON_NONE)
        return;
    t->reason = reason;
    stats_ended(t->route.stats, reason); /* first: who reads the line finds it counted */
    connlog_ended(&c, t->opened, reason, detail, &totals);
    if (t->events->ended)
        t->events->ended(t, reason, detail, t->owner);
}

void ending_warm(struct tunnel *t, enum reason reason, const char *detail)
{
    const struct connlog c = ending_connlog(t);

    if (t->reason != REASON_NONE)
        return;
    t->reason = reason;
    if (reason != REASON_FIRST_USE) {
        stats_failed(t->route.stats, reason);
        connlog_failed(&c, reason, detail);
    }
    if (t->events->ended)
        t->events->ended(t, reason, detail, t->owner);
    if (t->upstream.state == UPSTREAM_READY) {
        tls_close_notify(t->upstream.tls);
        upstream_flush(&t->upstream);
    }
    ending_close(t, false, false);
}

static void close_upstream(struct tunnel *t, bool reset)
{
    if (t->has_upstream)
        upstream_close(&t->upstream, reset);
}

void ending_close(struct tunnel *t, bool reset_client, bool reset_upstream)
{
    if (t->state == TUNNEL_CLOSING)
        return;
    t->state = TUNNEL_CLOSING;
    endpoint_close(&t->client, reset_client);
    close_upstream(t, reset_upstream);
    uv_close((uv_handle_t *)&t->timer, on_timer_closed);
}

void ending_linger(struct tunnel *t)
{
    const bool delivered = endpoint_is_idle(&t->client) && endpoint_unsent(&t->client) == 0;

    if (delivered || t->client.write_error || uv_now(&t->thread->loop) >= t->linger_until)
        ending_close(t, t->cut, false);
}

static void on_linger(uv_timer_t *timer)
{
    ending_linger(timer->data);
}

/* Closes the upstream now, and the client when its kernel has what was written to it. */
static void start_linger(struct tunnel *t, bool reset_upstream)
{
    t->state = TUNNEL_LINGER;
    t->linger_until = uv_now(&t->thread->loop) + LINGER_MS;
    endpoint_want_read(&t->client, false);
    close_upstream(t, reset_upstream);
    uv_timer_start(&t->timer, on_linger, LINGER_POLL_MS, LINGER_POLL_MS);
    ending_linger(t);
}

void ending_gracefully(struct tunnel *t, enum reason reason)
{
    ending_note(t, reason, "");
    if (!t->relay.close_notify_sent) {
        tls_close_notify(t->upstream.tls);
        upstream_flush(&t->upstream);
    }
    endpoint_shutdown(&t->client);
    ending_close(t, false, false);
}

void ending_abort(struct tunnel *t, enum reason reason, const char *detail)
{
    ending_note(t, reason, detail);
    ending_close(t, true, true);
}

void ending_cut(struct tunnel *t, enum reason reason, const char *detail)
{
    t->cut = true;
    ending_note(t, reason, detail);
    start_linger(t, false);
}

void ending_refuse(struct tunnel *t, enum reason reason, const char *detail, bool reset_upstream)
{
    ending_note(t, reason, detail);
    if (!greeting_reply(&t->greeting, reason)) {
        ending_close(t, true, reset_upstream);
        return;
    }
    endpoint_shutdown(&t->client);
    start_linger(t, reset_upstream);
}
