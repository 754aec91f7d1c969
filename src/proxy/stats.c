#include "proxy/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"

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
    free(s);
}

void stats_opened(struct stats *s, const char *pin, struct x509_st *server)
{
    struct x509_st *before = NULL;

    stats_add(&s->total, 1);
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

void stats_ended(struct stats *s, enum reason reason)
{
    stats_add(&s->ended[reason], 1);
    if (reason == REASON_PIN_MISMATCH)
        stats_add(&s->mismatches, 1);
    atomic_fetch_sub_explicit(&s->open, 1, memory_order_relaxed);
    if (reason_kind(reason) == REASON_KIND_END)
        return;
    pthread_mutex_lock(&s->lock);
    s->last_failure = reason;
    s->last_failure_at = clock_now();
    pthread_mutex_unlock(&s->lock);
}

void stats_move(struct stats *from, struct stats *to)
{
    stats_add(&to->open, 1);
    atomic_fetch_sub_explicit(&from->open, 1, memory_order_relaxed);
}

void stats_last(struct stats *s, char pin[STATS_TEXT_SIZE], enum reason *failure, int64_t *at)
{
    pthread_mutex_lock(&s->lock);
    memcpy(pin, s->last_pin, STATS_TEXT_SIZE);
    *failure = s->last_failure;
    *at = s->last_failure_at;
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
