#include "proxy/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "base/bgthread.h"
#include "base/log.h"
#include "base/sock.h"
#include "proxy/pinfetch.h"
#include "proxy/thread.h"
#include "tls/tlsmem.h"

struct letter {
    struct snapshot *snapshot;
    const struct section *section;
    struct tunnel_client client;
    STAILQ_ENTRY(letter) link;
};

/* A tunnel in the worker's list. */
struct member {
    struct worker *worker;
    struct tunnel *tunnel;
    LIST_ENTRY(member) link;
};

struct worker {
    struct worker_pool *pool;
    pthread_t thread;
    struct reactor reactor;
    uv_async_t bell;
    LIST_HEAD(, member) members;
    _Atomic uint64_t load;

    struct announcer *announcer; /* NULL: another worker has it */
    struct snapshot *current;    /* that was applied last; NULL: there was no order yet */
    _Atomic uint64_t ordered;    /* generations of the last order, and of the last one applied */
    _Atomic uint64_t applied;

    pthread_mutex_t lock; /* the mailbox */
    STAILQ_HEAD(, letter) letters;
    struct snapshot *latest; /* to be applied; NULL: nothing */
    bool kill;
    bool stop;
};

static void leave(struct worker *w)
{
    atomic_fetch_sub(&w->load, 1);
    atomic_fetch_sub(&w->pool->tunnels, 1);
    if (atomic_load(&w->pool->tell))
        (void)uv_async_send(w->pool->wake);
}

static void on_freed(struct tunnel *t, void *owner)
{
    struct member *m = owner;

    (void)t;
    LIST_REMOVE(m, link);
    leave(m->worker);
    free(m);
}

static const struct tunnel_events events = {.freed = on_freed};

static void shed(struct worker *w, const struct letter *letter)
{
    struct log_line l;

    log_begin(&l, LOG_LEVEL_WARNING, "limit", letter->section->config->name);
    log_add(&l, "what", reason_name(REASON_MEMORY));
    log_add(&l, "detail", reason_text(REASON_MEMORY));
    log_end(&l);
    stats_ended(letter->section->stats, REASON_MEMORY);
    leave(w);
}

static void open_letter(struct worker *w, struct letter *letter)
{
    struct member *m = malloc(sizeof(*m));

    if (m)
        m->tunnel = tunnel_start(&w->reactor, letter->snapshot, letter->section, &letter->client,
                                 &events, m);
    if (!m || !m->tunnel) {
        shed(w, letter);
        if (!m) {
            sock_close_reset(letter->client.fd);
            snapshot_release(letter->snapshot);
        }
        free(m);
    } else {
        m->worker = w;
        LIST_INSERT_HEAD(&w->members, m, link);
        /* written before an order that was applied while it lay in the mailbox */
        if (w->current && letter->snapshot != w->current)
            tunnel_reload(m->tunnel, w->current);
    }
    free(letter);
}

static bool stays(const char *section, const uint8_t *fingerprint, const void *arg)
{
    const struct section *s = snapshot_find(arg, section);

    return s && memcmp(s->trust->fingerprint, fingerprint, POLICY_FINGERPRINT_SIZE) == 0;
}

/* Applies a configuration (a reference, taken over; NULL: none) to all that the worker has. */
static void apply(struct worker *w, struct snapshot *latest, uint64_t generation)
{
    struct member *m, *next;

    if (!latest)
        return;
    snapshot_release(w->current);
    w->current = latest;
    for (m = LIST_FIRST(&w->members); m; m = next) {
        next = LIST_NEXT(m, link);
        tunnel_reload(m->tunnel, latest);
    }
    session_sweep(w->reactor.sessions, stays, latest);
    if (w->announcer)
        announcer_update(w->announcer, latest);
    atomic_store(&w->applied, generation);
    (void)uv_async_send(w->pool->wake);
}

/* An order does not wait for the bell, which may be behind a thousand other events. */
static void on_turn(struct reactor *r)
{
    struct worker *w = (struct worker *)((char *)r - offsetof(struct worker, reactor));
    struct snapshot *latest;
    uint64_t generation;

    if (atomic_load(&w->ordered) == atomic_load(&w->applied))
        return;
    pthread_mutex_lock(&w->lock);
    latest = w->latest;
    generation = atomic_load(&w->ordered);
    w->latest = NULL;
    pthread_mutex_unlock(&w->lock);
    apply(w, latest, generation);
}

static void on_bell(uv_async_t *bell)
{
    struct worker *w = bell->data;
    STAILQ_HEAD(, letter) letters = STAILQ_HEAD_INITIALIZER(letters);
    struct snapshot *latest;
    struct letter *letter;
    struct member *m, *next;
    uint64_t generation;
    bool kill, stop;

    /* in one piece: a letter is then never of a later configuration than the one that is applied */
    pthread_mutex_lock(&w->lock);
    STAILQ_CONCAT(&letters, &w->letters);
    latest = w->latest;
    generation = atomic_load(&w->ordered);
    kill = w->kill;
    stop = w->stop;
    w->latest = NULL;
    w->kill = false;
    pthread_mutex_unlock(&w->lock);

    apply(w, latest, generation);
    while ((letter = STAILQ_FIRST(&letters))) {
        STAILQ_REMOVE_HEAD(&letters, link);
        open_letter(w, letter);
    }
    if (kill || stop)
        for (m = LIST_FIRST(&w->members); m; m = next) {
            next = LIST_NEXT(m, link);
            tunnel_kill(m->tunnel, REASON_DRAINED);
        }
    if (stop && !uv_is_closing((uv_handle_t *)bell)) {
        uv_close((uv_handle_t *)bell, NULL);
        announcer_close(w->announcer);
        w->announcer = NULL;
        reactor_close(&w->reactor);
    }
}

static void *run(void *arg)
{
    struct worker *w = arg;

    blocks_keep();
    /* returns when the last handle has closed: after worker_stop() */
    uv_run(&w->reactor.loop, UV_RUN_DEFAULT);
    blocks_keep_no_more();
    return NULL;
}

struct worker *worker_start(struct worker_pool *pool, bool announces)
{
    struct worker *w = calloc(1, sizeof(*w));
    int error;

    if (!w)
        return NULL;
    w->pool = pool;
    LIST_INIT(&w->members);
    STAILQ_INIT(&w->letters);
    pthread_mutex_init(&w->lock, NULL);
    error = -reactor_init(&w->reactor);
    if (error)
        goto fail;
    w->reactor.turn = on_turn;
    error = -uv_async_init(&w->reactor.loop, &w->bell, on_bell);
    w->bell.data = w;
    if (error)
        goto fail_reactor;
    w->announcer = announces ? announcer_new(&w->reactor) : NULL;
    error = thread_start(&w->thread, "worker", run, w);
    if (error == 0)
        return w;
    announcer_close(w->announcer);
    uv_close((uv_handle_t *)&w->bell, NULL);
fail_reactor:
    reactor_close(&w->reactor);
    uv_run(&w->reactor.loop, UV_RUN_DEFAULT);
    reactor_free(&w->reactor);
fail:
    pthread_mutex_destroy(&w->lock);
    free(w);
    errno = error;
    return NULL;
}

bool worker_take(struct worker *w, struct snapshot *snapshot, const struct section *section,
                 const struct tunnel_client *client)
{
    struct letter *letter = calloc(1, sizeof(*letter));

    if (!letter)
        return false;
    letter->snapshot = snapshot;
    letter->section = section;
    letter->client = *client;
    stats_add(&section->stats->open, 1);
    atomic_fetch_add(&w->load, 1);
    atomic_fetch_add(&w->pool->tunnels, 1);
    pthread_mutex_lock(&w->lock);
    STAILQ_INSERT_TAIL(&w->letters, letter, link);
    pthread_mutex_unlock(&w->lock);
    (void)uv_async_send(&w->bell);
    return true;
}

void worker_reload(struct worker *w, struct snapshot *now, uint64_t generation)
{
    pthread_mutex_lock(&w->lock);
    snapshot_release(w->latest);
    w->latest = snapshot_hold(now);
    atomic_store(&w->ordered, generation);
    pthread_mutex_unlock(&w->lock);
    (void)uv_async_send(&w->bell);
}

uint64_t worker_applied(const struct worker *w)
{
    return atomic_load(&w->applied);
}

uint64_t worker_load(const struct worker *w)
{
    return atomic_load(&w->load);
}

static void ring(struct worker *w, bool *order)
{
    pthread_mutex_lock(&w->lock);
    *order = true;
    pthread_mutex_unlock(&w->lock);
    (void)uv_async_send(&w->bell);
}

void worker_kill(struct worker *w)
{
    ring(w, &w->kill);
}

bool worker_stop(struct worker *w)
{
    struct timespec until;

    ring(w, &w->stop);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 1;
    if (pthread_timedjoin_np(w->thread, NULL, &until) != 0)
        return false;
    reactor_free(&w->reactor);
    snapshot_release(w->latest);
    snapshot_release(w->current);
    pthread_mutex_destroy(&w->lock);
    free(w);
    return true;
}
