#include "proxy/keep.h"

#include <stdlib.h>
#include <string.h>

struct keep {
    uv_work_t work;
    struct keep_owner *owner;
    struct keep_order order;
    struct learned *learned; /* a reference */
    char section[LEARNED_SECTION_SIZE];
    char place[LEARNED_PLACE_SIZE];
    enum learned_result result;
    char *why;
};

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
    learned_release(k->learned);
    free(k->why);
    free(k);
}

struct keep *keep_start(uv_loop_t *loop, const struct keep_order *order, struct keep_owner *owner)
{
    struct keep *k = calloc(1, sizeof(*k));

    if (!k)
        return NULL;
    k->work.data = k;
    k->owner = owner;
    k->order = *order;
    k->order.policy = NULL;
    k->result = LEARNED_FAILED;
    strncpy(k->section, order->policy->section->name, sizeof(k->section) - 1);
    strncpy(k->place, order->policy->place, sizeof(k->place) - 1);
    k->learned = learned_hold(order->policy->learned);
    if (uv_queue_work(loop, &k->work, on_work, on_done) == 0)
        return k;
    learned_release(k->learned);
    free(k);
    return NULL;
}

void keep_cancel(struct keep *k)
{
    if (k)
        k->owner = NULL;
}
