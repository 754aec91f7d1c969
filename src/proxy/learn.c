#include "proxy/learn.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "proxy/connlog.h"

struct learn {
    uv_work_t work;
    struct learn_owner *owner;
    struct learn_order order;
    struct learned_key *stale; /* of LEARN_STALE: order.count of them */
    struct learned *learned;   /* a reference */
    struct stats *stats;       /* a reference, of the section */
    char section[LEARNED_SECTION_SIZE];
    char hostport[LEARNED_HOSTPORT_SIZE];
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

static void log_failed(const struct learn *k)
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

static void dispose(struct learn *k)
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
    struct learn *k = work->data;
    const struct learn_order *o = &k->order;

    switch (o->kind) {
    case LEARN_FIRST_USE:
        k->result = learned_add(k->learned, k->section, k->hostport, o->digests[0], o->now,
                                &k->why);
        break;
    case LEARN_REFUSED:
        k->result = learned_note_refused(k->learned, k->section, k->hostport, o->digests[0], o->now,
                                         &k->why);
        break;
    case LEARN_ANNOUNCED:
        k->result = learned_announce(k->learned, k->section, k->hostport, o->digests, o->count,
                                     &o->via, o->until, o->now, &k->why);
        break;
    case LEARN_STALE:
        k->result = learned_remove(k->learned, k->stale, o->count, &k->why);
        break;
    }
}

static void on_done(uv_work_t *work, int status)
{
    struct learn *k = work->data;

    /* told of whether or not the one who asked for it is still there */
    if (k->order.kind == LEARN_FIRST_USE && status == 0 && k->result == LEARNED_DONE)
        connlog_learned(k->section, k->order.digests[0], LEARNED_TOFU, k->hostport, 0);
    if (k->order.kind == LEARN_STALE && k->result == LEARNED_FAILED)
        log_failed(k);
    if (k->order.kind == LEARN_REFUSED && end_note(k->stats, k->order.digests[0])) {
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

static struct learn *make_learn(const struct learn_order *order, struct learn_owner *owner)
{
    const struct section *s = order->section;
    struct learn *k = calloc(1, sizeof(*k));

    if (!k)
        return NULL;
    k->work.data = k;
    k->owner = owner;
    k->order = *order;
    k->order.section = NULL;
    k->result = LEARNED_FAILED;
    strncpy(k->section, s->config->name, sizeof(k->section) - 1);
    strncpy(k->hostport, s->policy->hostport, sizeof(k->hostport) - 1);
    k->learned = learned_hold(s->policy->learned);
    k->stats = stats_hold(s->stats);
    return k;
}

struct learn *learn_start(uv_loop_t *loop, const struct learn_order *order,
                          struct learn_owner *owner)
{
    struct stats *stats = order->section->stats;
    struct learn *k;

    if (order->kind == LEARN_REFUSED && !begin_note(stats, order->digests[0]))
        return NULL;
    k = make_learn(order, owner);
    if (k && uv_queue_work(loop, &k->work, on_work, on_done) == 0)
        return k;
    if (order->kind == LEARN_REFUSED)
        (void)end_note(stats, NULL);
    if (k)
        dispose(k);
    return NULL;
}

void learn_remove_stale(uv_loop_t *loop, const struct section *section)
{
    struct learn_order order = {.kind = LEARN_STALE, .section = section};
    struct learned_key keys[LEARNED_KEYS_MAX];
    struct learn *k;
    size_t i;

    order.count = policy_stale_keys(section->policy, keys);
    if (order.count == 0)
        return;
    for (i = 0; i < order.count; i++)
        if (!policy_pins_key(section->config, keys[i].digest))
            log_removed(section, &keys[i]);
    k = make_learn(&order, NULL);
    if (!k)
        return;
    k->stale = calloc(order.count, sizeof(*k->stale));
    if (k->stale)
        memcpy(k->stale, keys, order.count * sizeof(*k->stale));
    if (!k->stale || uv_queue_work(loop, &k->work, on_work, on_done) != 0)
        dispose(k);
}

void learn_cancel(struct learn *k)
{
    if (k)
        k->owner = NULL;
}
