#include "proxy/keep.h"

#include <stdlib.h>
#include <string.h>

struct keep {
    uv_work_t work;
    struct keep_owner *owner;
    struct keep_order order;
    struct learned *learned; /* a reference */
    struct stats *stats;     /* a reference, of the section */
    char section[LEARNED_SECTION_SIZE];
    char place[LEARNED_PLACE_SIZE];
    enum learned_result result;
    char *why;
};

static void dispose(struct keep *k)
{
    if (k->order.kind == KEEP_REFUSED)
        atomic_store(&k->stats->noting, false);
    learned_release(k->learned);
    stats_release(k->stats);
    free(k->why);
    free(k);
}

/* In a thread of libuv's pool. */
static void on_work(uv_work_t *work)
{
    struct keep *k = work->data;
    const struct keep_order *o = &k->order;

    switch (o->kind) {
    case KEEP_FIRST:
        k->result = learned_keep(k->learned, k->section, k->place, o->digests[0], o->now, &k->why);
        break;
    case KEEP_REFUSED:
        k->result = learned_note_refused(k->learned, k->section, k->place, o->digests[0], o->now,
                                         &k->why);
        break;
    case KEEP_ANNOUNCED:
        k->result = learned_announce(k->learned, k->section, k->place, o->digests, o->count,
                                     o->until, o->now, &k->why);
        break;
    }
}

static void on_done(uv_work_t *work, int status)
{
    struct keep *k = work->data;

    if (k->owner)
        k->owner->done(k->owner, status == 0 ? k->result : LEARNED_FAILED, k->why ? k->why : "");
    dispose(k);
}

struct keep *keep_start(uv_loop_t *loop, const struct keep_order *order, struct keep_owner *owner)
{
    const struct section *s = order->section;
    struct keep *k;

    /* a server that shows another key each time is not to fill the pool, where names are resolved */
    if (order->kind == KEEP_REFUSED && atomic_exchange(&s->stats->noting, true))
        return NULL;
    k = calloc(1, sizeof(*k));
    if (!k) {
        if (order->kind == KEEP_REFUSED)
            atomic_store(&s->stats->noting, false);
        return NULL;
    }
    k->work.data = k;
    k->owner = owner;
    k->order = *order;
    k->order.section = NULL;
    k->result = LEARNED_FAILED;
    strncpy(k->section, s->config->name, sizeof(k->section) - 1);
    strncpy(k->place, s->trust->place, sizeof(k->place) - 1);
    k->learned = learned_hold(s->trust->learned);
    k->stats = stats_hold(s->stats);
    if (uv_queue_work(loop, &k->work, on_work, on_done) == 0)
        return k;
    dispose(k);
    return NULL;
}

void keep_cancel(struct keep *k)
{
    if (k)
        k->owner = NULL;
}
