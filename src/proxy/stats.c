#include "proxy/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

const struct stats_row stats_rows[STATS_COUNT] = {
#define X(id, name, kind, help) {name, STATS_##kind, help},
    STATS(X)
#undef X
};

struct stats *stats_new(void)
{
    struct stats *s = xcalloc(1, sizeof(*s));

    atomic_init(&s->refs, 1);
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

struct stats *stats_hold(struct stats *s)
{
    atomic_fetch_add(&s->refs, 1);
    return s;
}

void stats_release(struct stats *s)
{
    if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    pthread_mutex_destroy(&s->lock);
    cert_release(s->last_server);
    free(s->warm);
    free(s);
}

void stats_opened(struct stats *s, const char *pin, struct x509_st *server)
{
    struct x509_st *before = NULL;

    stats_add(s, STATS_TOTAL, 1);
    pthread_mutex_lock(&s->lock);
    if (strcmp(s->last_pin, pin) != 0)
        snprintf(s->last_pin, sizeof(s->last_pin), "%s", pin);
    if (s->last_server != server) {
        before = s->last_server;
        s->last_server = cert_hold(server);
    }
    pthread_mutex_unlock(&s->lock);
    cert_release(before);
}

static void remove_tunnel(struct stats *s)
{
    stats_subtract(s, STATS_TUNNELS, 1);
}

static void add_end(struct stats *s, enum reason reason)
{
    atomic_fetch_add_explicit(&s->ended[reason], 1, memory_order_relaxed);
}

void stats_ended(struct stats *s, enum reason reason)
{
    add_end(s, reason);
    remove_tunnel(s);
    stats_failed(s, reason);
}

void stats_failed(struct stats *s, enum reason reason)
{
    if (reason == REASON_PIN_MISMATCH)
        stats_add(s, STATS_MISMATCHES, 1);
    if (reason_kind(reason) == REASON_KIND_END)
        return;
    pthread_mutex_lock(&s->lock);
    s->last_failure = reason;
    s->last_failure_at = clock_now();
    pthread_mutex_unlock(&s->lock);
}

void stats_refused(struct stats *s, enum reason reason)
{
    add_end(s, reason);
}

void stats_move(struct stats *from, struct stats *to)
{
    stats_add(to, STATS_TUNNELS, 1);
    remove_tunnel(from);
}

void stats_read(struct stats *s, struct stats_values *values)
{
    size_t i;

    for (i = 0; i < STATS_COUNT; i++)
        values->counters[i] = stats_get(s, (enum stats_counter)i);
    for (i = 0; i < REASON_COUNT; i++)
        values->ended[i] = atomic_load_explicit(&s->ended[i], memory_order_relaxed);
    pthread_mutex_lock(&s->lock);
    memcpy(values->last_pin, s->last_pin, sizeof(values->last_pin));
    values->last_failure = s->last_failure;
    values->last_failure_at = s->last_failure_at;
    pthread_mutex_unlock(&s->lock);
}

bool stats_last_server(struct stats *s, struct cert_info *info)
{
    struct x509_st *server;
    bool ok;

    pthread_mutex_lock(&s->lock);
    server = cert_hold(s->last_server);
    pthread_mutex_unlock(&s->lock);
    ok = server && cert_describe(server, info);
    cert_release(server);
    return ok;
}
