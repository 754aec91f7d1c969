#include "proxy/learn.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "learned/learned.h"
#include "proxy/connlog.h"
#include "trust/policy.h"

struct learn_job {
    uv_work_t work;
    struct learn_owner *owner;
    enum learn_kind kind;
    struct learned *learned; /* a reference */
    char section[LEARNED_SECTION_SIZE];
    char hostport[LEARNED_HOSTPORT_SIZE];
    enum learned_result result;
    char *why;
    size_t count;
    struct learned_key keys[];
};

static void log_failed(const struct learn_job *k)
{
    struct log_line l;

    log_begin(&l, LOG_LEVEL_ERROR, "learned_failed", k->section);
    log_add(&l, "detail", k->why ? k->why : "");
    log_end(&l);
}

/* Logs that a key is removed together with the pin that it depends on. */
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
                ? "the pin of the configuration that it depends on was removed or revoked"
                : "the file does not say on which pin of the configuration it depends");
    log_end(&l);
}

static void free_job(struct learn_job *k)
{
    learned_release(k->learned);
    free(k->why);
    free(k);
}

/* In a thread of libuv's pool. */
static void on_work(uv_work_t *work)
{
    struct learn_job *k = work->data;
    const struct learned_announcement announcement = {k->section, k->hostport, k->keys, k->count};

    switch (k->kind) {
    case LEARN_FIRST_USE:
        k->result = learned_add(k->learned, k->keys, &k->why);
        break;
    case LEARN_REFUSED:
        k->result = learned_note_refused(k->learned, k->keys, &k->why);
        break;
    case LEARN_ANNOUNCED:
        k->result = learned_announce(k->learned, &announcement, &k->why);
        break;
    case LEARN_STALE:
        k->result = learned_remove(k->learned, k->keys, k->count, &k->why);
        break;
    }
}

static void on_done(uv_work_t *work, int status)
{
    struct learn_job *k = work->data;

    /* logged even if the owner has cancelled it */
    if (k->kind == LEARN_FIRST_USE && status == 0 && k->result == LEARNED_DONE)
        connlog_learned(k->section, k->keys[0].digest, LEARNED_TOFU, k->hostport, 0);
    if (k->kind == LEARN_STALE && k->result == LEARNED_FAILED)
        log_failed(k);
    if (k->kind == LEARN_REFUSED && learned_next_refused(k->learned, k->keys)) {
        free(k->why);
        k->why = NULL;
        if (uv_queue_work(work->loop, work, on_work, on_done) == 0)
            return;
        learned_abort_refused(k->learned, k->keys);
    }
    if (k->owner)
        k->owner->done(k->owner, status == 0 ? k->result : LEARNED_FAILED, k->why ? k->why : "");
    free_job(k);
}

static struct learn_job *new_job(enum learn_kind kind, const struct section *s, size_t count,
                                 struct learn_owner *owner)
{
    struct learn_job *k = calloc(1, sizeof(*k) + count * sizeof(k->keys[0]));

    if (!k)
        return NULL;
    k->work.data = k;
    k->owner = owner;
    k->kind = kind;
    k->result = LEARNED_FAILED;
    k->count = count;
    k->learned = learned_hold(s->policy->learned);
    return k;
}

/* Returns false if a name does not fit: a name that was cut would be that of another. */
static bool fill_in(struct learn_job *k, const struct learn_order *o)
{
    const char *section = o->section->config->name, *hostport = o->section->policy->hostport;
    size_t i;

    if (strlen(section) >= sizeof(k->section) || strlen(hostport) >= sizeof(k->hostport))
        return false;
    strcpy(k->section, section);
    strcpy(k->hostport, hostport);
    for (i = 0; i < o->count; i++) {
        struct learned_key *key = &k->keys[i];

        if (!learnedkey_init(key, section, hostport, o->digests[i], o->now))
            return false;
        if (o->kind != LEARN_ANNOUNCED)
            continue;
        key->from = LEARNED_PINS_URL;
        key->until = o->until;
        key->via = o->via;
    }
    return true;
}

struct learn_job *learn_start(uv_loop_t *loop, const struct learn_order *order,
                              struct learn_owner *owner)
{
    struct learn_job *k = new_job(order->kind, order->section, order->count, owner);
    const bool refused = order->kind == LEARN_REFUSED;

    if (!k)
        return NULL;
    if (fill_in(k, order) && (!refused || learned_begin_refused(k->learned, k->keys))) {
        if (uv_queue_work(loop, &k->work, on_work, on_done) == 0)
            return k;
        if (refused)
            learned_abort_refused(k->learned, k->keys);
    }
    free_job(k);
    return NULL;
}

/* Starts a change for the key that a server has presented. */
static struct learn_job *start_for_server(uv_loop_t *loop, enum learn_kind kind,
                                          const struct section *section,
                                          const struct trust_verdict *verdict,
                                          struct learn_owner *owner)
{
    struct learn_order order = {.kind = kind, .section = section, .count = 1, .now = clock_now()};

    memcpy(order.digests[0], verdict->server.key, CERT_DIGEST_SIZE);
    return learn_start(loop, &order, owner);
}

struct learn_job *learn_first_use(uv_loop_t *loop, const struct section *section,
                                  const struct trust_verdict *verdict, struct learn_owner *owner)
{
    return start_for_server(loop, LEARN_FIRST_USE, section, verdict, owner);
}

void learn_refused(uv_loop_t *loop, const struct section *section,
                   const struct trust_verdict *verdict)
{
    struct learned_key keys[LEARNED_KEYS_MAX];
    const struct policy *p = section->policy;
    size_t n = learned_find(p->learned, p->section->name, p->hostport, keys), i;

    for (i = 0; i < n; i++) {
        const struct pin pin = pin_make(PIN_SERVER, PIN_KEY, keys[i].digest);

        if (keys[i].refused && pin_matches(&pin, PIN_SERVER, &verdict->server))
            return;
    }
    (void)start_for_server(loop, LEARN_REFUSED, section, verdict, NULL);
}

void learn_remove_stale(uv_loop_t *loop, const struct section *section)
{
    struct learned_key keys[LEARNED_KEYS_MAX];
    const size_t count = policy_stale_keys(section->policy, keys);
    struct learn_job *k;
    size_t i;

    if (count == 0)
        return;
    for (i = 0; i < count; i++)
        if (!policy_is_pinned(section->config, keys[i].digest))
            log_removed(section, &keys[i]);
    k = new_job(LEARN_STALE, section, count, NULL);
    if (!k)
        return;
    memcpy(k->keys, keys, count * sizeof(*keys));
    strcpy(k->section, keys[0].section);
    if (uv_queue_work(loop, &k->work, on_work, on_done) != 0)
        free_job(k);
}

void learn_cancel(struct learn_job *k)
{
    if (k)
        k->owner = NULL;
}
