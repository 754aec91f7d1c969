#include "proxy/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
    free(s);
}

void stats_opened(struct stats *s, const char *pin, const char *subject, int64_t not_after)
{
    stats_add(&s->total, 1);
    atomic_store_explicit(&s->not_after, not_after, memory_order_relaxed);
    pthread_mutex_lock(&s->lock);
    if (strcmp(s->last_pin, pin) != 0)
        snprintf(s->last_pin, sizeof(s->last_pin), "%s", pin);
    if (strcmp(s->last_subject, subject) != 0)
        snprintf(s->last_subject, sizeof(s->last_subject), "%s", subject);
    pthread_mutex_unlock(&s->lock);
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
    s->last_failure_at = time(NULL);
    pthread_mutex_unlock(&s->lock);
}

void stats_last(struct stats *s, char pin[STATS_TEXT_SIZE], enum reason *failure, int64_t *at)
{
    pthread_mutex_lock(&s->lock);
    memcpy(pin, s->last_pin, STATS_TEXT_SIZE);
    *failure = s->last_failure;
    *at = s->last_failure_at;
    pthread_mutex_unlock(&s->lock);
}

void stats_last_subject(struct stats *s, char subject[STATS_TEXT_SIZE])
{
    pthread_mutex_lock(&s->lock);
    memcpy(subject, s->last_subject, STATS_TEXT_SIZE);
    pthread_mutex_unlock(&s->lock);
}
