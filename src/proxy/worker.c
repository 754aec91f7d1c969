#include "proxy/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "base/bgthread.h"
#include "base/util.h"
#include "proxy/connlog.h"
#include "proxy/outer.h"
#include "proxy/pinfetch.h"
#include "proxy/thread.h"
#include "proxy/tunnels.h"
#include "proxy/warm.h"
#include "tls/sessioncache.h"
#include "tls/tlsmem.h"

struct handoff {
    struct snapshot *snapshot;
    const struct frontend *frontend;
    struct stream client;
    bool promised; /* a warm connection */
    STAILQ_ENTRY(handoff) link;
};

struct worker {
    struct worker_shared *shared;
    pthread_t pthread;
    struct thread thread;
    uv_async_t wakeup;
    struct tunnels tunnels;
    _Atomic uint64_t load;

    struct warm *warm;
    struct pinfetch *pinfetch; /* NULL: another worker has it */
    struct snapshot *current;  /* was applied last; NULL: there was no order yet */
    _Atomic uint64_t ordered;  /* generations of the last order, and of the last one applied */
    _Atomic uint64_t applied;

    pthread_mutex_t lock; /* the queue and the orders */
    STAILQ_HEAD(, handoff) queue;
    struct snapshot *latest; /* to be applied; NULL: nothing */
    bool drain;
    bool kill;
    bool stop;
};

static void count_freed(struct worker *w)
{
    atomic_fetch_sub(&w->load, 1);
    atomic_fetch_sub(&w->shared->tunnels, 1);
    if (atomic_load(&w->shared->notify))
        (void)uv_async_send(w->shared->wake);
}

/* worker_take() has counted the tunnels of clients. */
static void on_added(struct tunnels *t)
{
    struct worker *w = container_of(t, struct worker, tunnels);

    atomic_fetch_add(&w->load, 1);
    atomic_fetch_add(&w->shared->tunnels, 1);
}

static void on_freed(struct tunnels *t)
{
    count_freed(container_of(t, struct worker, tunnels));
}

static const struct tunnels_ops tunnels_ops = {on_added, on_freed};

static void refuse_handoff(struct worker *w, const struct handoff *handoff)
{
    connlog_limit(handoff->frontend->name, REASON_MEMORY, NULL);
    stats_ended(handoff->frontend->stats, REASON_MEMORY);
    count_freed(w);
}

/* Gives a client one of the warm connections. Returns false if there is none for it. */
static bool attach_client(struct worker *w, const struct handoff *handoff)
{
    struct tunnel *t = warm_take(w->warm, handoff->snapshot, handoff->frontend, handoff->promised);

    if (!t)
        return false;
    snapshot_release(handoff->snapshot); /* the tunnel has a reference of its own */
    tunnels_attach(&w->tunnels, t, &handoff->client);
    return true;
}

static void start_tunnel(struct worker *w, struct handoff *handoff)
{
    struct tunnel *t;

    if (attach_client(w, handoff)) {
        free(handoff);
        return;
    }
    t = tunnels_start(&w->tunnels, handoff->snapshot, handoff->frontend, &handoff->client, NULL,
                      NULL);
    if (!t)
        refuse_handoff(w, handoff);
    else if (w->current && handoff->snapshot != w->current)
        /* it was queued before an order that has been applied meanwhile */
        tunnel_apply(t, w->current);
    free(handoff);
}

static bool is_current(const char *section, const uint8_t *policy_id, const void *arg)
{
    const struct section *s = snapshot_find(arg, section);

    return s && memcmp(s->policy->id, policy_id, POLICY_ID_SIZE) == 0;
}

/* Applies a configuration to all tunnels. Takes ownership of the reference; NULL: does nothing. */
static void apply_snapshot(struct worker *w, struct snapshot *latest, uint64_t generation)
{
    if (!latest)
        return;
    snapshot_release(w->current);
    w->current = latest;
    tunnels_apply(&w->tunnels, latest);
    warm_apply(w->warm, latest);
    sessioncache_sweep(w->thread.tls.sessions, is_current, latest);
    if (w->pinfetch)
        pinfetch_update(w->pinfetch, latest);
    atomic_store(&w->applied, generation);
    (void)uv_async_send(w->shared->wake);
}

/* Applies an order before the wakeup, which may be behind a thousand other events. */
static void on_turn(struct thread *r)
{
    struct worker *w = container_of(r, struct worker, thread);
    struct snapshot *latest;
    uint64_t generation;

    if (atomic_load(&w->ordered) == atomic_load(&w->applied))
        return;
    pthread_mutex_lock(&w->lock);
    latest = w->latest;
    generation = atomic_load(&w->ordered);
    w->latest = NULL;
    pthread_mutex_unlock(&w->lock);
    apply_snapshot(w, latest, generation);
}

static void on_wakeup(uv_async_t *wakeup)
{
    struct worker *w = wakeup->data;
    STAILQ_HEAD(, handoff) queue = STAILQ_HEAD_INITIALIZER(queue);
    struct snapshot *latest;
    struct handoff *handoff;
    uint64_t generation;
    bool drain, kill, stop;

    /* under one lock: no handoff is then of a later configuration than the one that is applied */
    pthread_mutex_lock(&w->lock);
    STAILQ_CONCAT(&queue, &w->queue);
    latest = w->latest;
    generation = atomic_load(&w->ordered);
    drain = w->drain;
    kill = w->kill;
    stop = w->stop;
    w->latest = NULL;
    w->kill = false;
    pthread_mutex_unlock(&w->lock);

    apply_snapshot(w, latest, generation);
    while ((handoff = STAILQ_FIRST(&queue))) {
        STAILQ_REMOVE_HEAD(&queue, link);
        start_tunnel(w, handoff);
    }
    if (drain || kill || stop)
        warm_stop(w->warm);
    if (kill || stop)
        tunnels_kill(&w->tunnels, REASON_DRAINED);
    if (stop && !uv_is_closing((uv_handle_t *)wakeup)) {
        uv_close((uv_handle_t *)wakeup, NULL);
        pinfetch_close(w->pinfetch);
        w->pinfetch = NULL;
        thread_close(&w->thread);
    }
}

static void *run_worker(void *arg)
{
    struct worker *w = arg;

    tlsmem_thread_init();
    /* returns when the last handle has closed: after worker_stop() */
    uv_run(&w->thread.loop, UV_RUN_DEFAULT);
    tlsmem_thread_exit();
    return NULL;
}

struct worker *worker_start(struct worker_shared *shared, size_t number, size_t count)
{
    struct worker *w = calloc(1, sizeof(*w));
    int error;

    if (!w)
        return NULL;
    w->shared = shared;
    STAILQ_INIT(&w->queue);
    pthread_mutex_init(&w->lock, NULL);
    error = -thread_init(&w->thread);
    if (error)
        goto fail;
    w->thread.turn = on_turn;
    tunnels_init(&w->tunnels, &w->thread, &tunnels_ops);
    w->thread.start_outer = outer_start;
    error = -uv_async_init(&w->thread.loop, &w->wakeup, on_wakeup);
    w->wakeup.data = w;
    if (error)
        goto fail_thread;
    w->pinfetch = number == 0 ? pinfetch_new(&w->thread) : NULL;
    w->warm = warm_new(&w->thread, number, count);
    error = bgthread_start(&w->pthread, "worker", run_worker, w);
    if (error == 0)
        return w;
    pinfetch_close(w->pinfetch);
    warm_free(w->warm);
    uv_close((uv_handle_t *)&w->wakeup, NULL);
fail_thread:
    thread_close(&w->thread);
    uv_run(&w->thread.loop, UV_RUN_DEFAULT);
    thread_free(&w->thread);
fail:
    pthread_mutex_destroy(&w->lock);
    free(w);
    errno = error;
    return NULL;
}

bool worker_take(struct worker *w, struct snapshot *snapshot, const struct frontend *frontend,
                 const struct stream *client, bool promised)
{
    struct handoff *handoff = calloc(1, sizeof(*handoff));

    if (!handoff)
        return false;
    handoff->snapshot = snapshot;
    handoff->frontend = frontend;
    handoff->client = *client;
    handoff->promised = promised;
    stats_add(frontend->stats, STATS_TUNNELS, 1);
    atomic_fetch_add(&w->load, 1);
    atomic_fetch_add(&w->shared->tunnels, 1);
    pthread_mutex_lock(&w->lock);
    STAILQ_INSERT_TAIL(&w->queue, handoff, link);
    pthread_mutex_unlock(&w->lock);
    (void)uv_async_send(&w->wakeup);
    return true;
}

void worker_apply(struct worker *w, struct snapshot *latest, uint64_t generation)
{
    pthread_mutex_lock(&w->lock);
    snapshot_release(w->latest);
    w->latest = snapshot_hold(latest);
    atomic_store(&w->ordered, generation);
    pthread_mutex_unlock(&w->lock);
    (void)uv_async_send(&w->wakeup);
}

uint64_t worker_applied(const struct worker *w)
{
    return atomic_load(&w->applied);
}

uint64_t worker_load(const struct worker *w)
{
    return atomic_load(&w->load);
}

static void send_order(struct worker *w, bool *order)
{
    pthread_mutex_lock(&w->lock);
    *order = true;
    pthread_mutex_unlock(&w->lock);
    (void)uv_async_send(&w->wakeup);
}

void worker_drain(struct worker *w)
{
    send_order(w, &w->drain);
}

void worker_kill(struct worker *w)
{
    send_order(w, &w->kill);
}

bool worker_stop(struct worker *w)
{
    struct timespec until;

    send_order(w, &w->stop);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 1;
    if (pthread_timedjoin_np(w->pthread, NULL, &until) != 0)
        return false;
    thread_free(&w->thread);
    warm_free(w->warm);
    snapshot_release(w->latest);
    snapshot_release(w->current);
    pthread_mutex_destroy(&w->lock);
    free(w);
    return true;
}
