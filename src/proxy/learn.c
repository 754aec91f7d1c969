#include "proxy/learn.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

struct keep {
    uv_work_t work;
    struct keep_owner *owner;
    struct keep_order order;
    struct learned_key *stale; /* of KEEP_STALE: order.count of them */
    struct learned *learned;   /* a reference */
    struct stats *stats;       /* a reference, of the section */
    char section[LEARNED_SECTION_SIZE];
    char place[LEARNED_PLACE_SIZE];
    enum learned_result result;
    char *why;
};

/*
 * Returns true if the key is to be noted now. While another one of the section is being noted, only
 * the latest waits: a server that shows another key each time must not fill libuv's pool of
 * threads.
 */
static bool begin_note(struct stats *s, const uint8_t key[CERT_DIGEST_SIZE])
{
    bool first;

    pthread_mutex_lock(&s->lock);
    first = !s->noting;
    s->noting = true;
    s->has_next = !first;
    if (!first)
        memcpy(s->next_key, key, CERT_DIGEST_SIZE);
    pthread_mutex_unlock(&s->lock);
    return first;
}

/* True, with its key, when there is one more to note. key NULL: it cannot be. */
static bool end_note(struct stats *s, uint8_t *key)
{
    bool again;

    pthread_mutex_lock(&s->lock);
    again = key && s->has_next;
    if (again)
        memcpy(key, s->next_key, CERT_DIGEST_SIZE);
    s->noting = again;
    s->has_next = false;
    pthread_mutex_unlock(&s->lock);
    return again;
}

static void log_first(const struct keep *k)
{
    char pin[PIN_KEY_TEXT_SIZE];
    struct log_line l;

    pin_format_key(k->order.digests[0], pin);
    log_begin(&l, LOG_LEVEL_NOTICE, "learned", k->section);
    log_add(&l, "pin", pin);
    log_add(&l, "from", "tofu");
    log_add(&l, "place", k->place);
    log_end(&l);
}

static void log_failed(const struct keep *k)
{
    struct log_line l;

    log_begin(&l, LOG_LEVEL_ERROR, "learned_failed", k->section);
    log_add(&l, "detail", k->why ? k->why : "");
    log_end(&l);
}

/* A key that has ended with the pin that it goes back to. */
static void log_removed(const struct section *s, const struct learned_key *key)
{
    char pin[PIN_KEY_TEXT_SIZE], via[PIN_TEXT_SIZE] = "";
    struct log_line l;

    pin_format_key(key->digest, pin);
    if (key->via.known)
        pin_format(key->via.role, key->via.kind, key->via.digest, via);
    log_begin(&l, LOG_LEVEL_NOTICE, "learned_removed", s->config->name);
    log_add(&l, "pin", pin);
    log_add(&l, "via", via);
    log_add(&l, "detail",
            key->via.known
                ? "the pin of the configuration that it goes back to was removed or revoked"
                : "nothing tells which pin of the configuration it goes back to");
    log_end(&l);
}

static void dispose(struct keep *k)
{
    learned_release(k->learned);
    stats_release(k->stats);
    free(k->stale);
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
                                     &o->via, o->until, o->now, &k->why);
        break;
    case KEEP_STALE:
        k->result = learned_remove(k->learned, k->stale, o->count, &k->why);
        break;
    }
}

static void on_done(uv_work_t *work, int status)
{
    struct keep *k = work->data;

    /* told of whether or not the one who asked for it is still there */
    if (k->order.kind == KEEP_FIRST && status == 0 && k->result == LEARNED_DONE)
        log_first(k);
    if (k->order.kind == KEEP_STALE && k->result == LEARNED_FAILED)
        log_failed(k);
    if (k->order.kind == KEEP_REFUSED && end_note(k->stats, k->order.digests[0])) {
        free(k->why);
        k->why = NULL;
        if (uv_queue_work(work->loop, work, on_work, on_done) == 0)
            return;
        (void)end_note(k->stats, NULL);
    }
    if (k->owner)
        k->owner->done(k->owner, status == 0 ? k->result : LEARNED_FAILED, k->why ? k->why : "");
    dispose(k);
}

static struct keep *make_keep(const struct keep_order *order, struct keep_owner *owner)
{
    const struct section *s = order->section;
    struct keep *k = calloc(1, sizeof(*k));

    if (!k)
        return NULL;
    k->work.data = k;
    k->owner = owner;
    k->order = *order;
    k->order.section = NULL;
    k->result = LEARNED_FAILED;
    strncpy(k->section, s->config->name, sizeof(k->section) - 1);
    strncpy(k->place, s->trust->place, sizeof(k->place) - 1);
    k->learned = learned_hold(s->trust->learned);
    k->stats = stats_hold(s->stats);
    return k;
}

struct keep *keep_start(uv_loop_t *loop, const struct keep_order *order, struct keep_owner *owner)
{
    struct stats *stats = order->section->stats;
    struct keep *k;

    if (order->kind == KEEP_REFUSED && !begin_note(stats, order->digests[0]))
        return NULL;
    k = make_keep(order, owner);
    if (k && uv_queue_work(loop, &k->work, on_work, on_done) == 0)
        return k;
    if (order->kind == KEEP_REFUSED)
        (void)end_note(stats, NULL);
    if (k)
        dispose(k);
    return NULL;
}

void keep_remove_stale(uv_loop_t *loop, const struct section *section)
{
    struct keep_order order = {.kind = KEEP_STALE, .section = section};
    struct learned_key keys[LEARNED_KEYS_MOST];
    struct keep *k;
    size_t i;

    order.count = policy_stale_keys(section->trust, keys);
    if (order.count == 0)
        return;
    for (i = 0; i < order.count; i++)
        if (!policy_pins_key(section->config, keys[i].digest))
            log_removed(section, &keys[i]);
    k = make_keep(&order, NULL);
    if (!k)
        return;
    k->stale = calloc(order.count, sizeof(*k->stale));
    if (k->stale)
        memcpy(k->stale, keys, order.count * sizeof(*k->stale));
    if (!k->stale || uv_queue_work(loop, &k->work, on_work, on_done) != 0)
        dispose(k);
}

void keep_cancel(struct keep *k)
{
    if (k)
        k->owner = NULL;
}
