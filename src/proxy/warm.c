#include "proxy/warm.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/mem.h"
#include "base/util.h"
#include "config/options.h"
#include "proxy/tunnel.h"
#include "trust/policy.h"

/* Pauses after failures double from the first to the last. */
#define PAUSE_MIN_MS 250
#define PAUSE_MAX_MS 30000

/* A server that keeps a connection for this long is not one that refuses to be asked ahead. */
#define PROVEN_MS 5000

/* A connection that was used is replaced after its client has had this time for a first exchange. */
#define REFILL_MS 5

/* The pause between the first dials of two sections: they are not all made in one moment. */
#define STAGGER_MS 2

/* Handshakes of one pool at the same time, for a start or a reload must not flood a server. */
#define DIALS_MAX 4

struct conn {
    struct pool *pool;
    struct tunnel *tunnel;
    bool ready;        /* in the list of the ready ones */
    bool ended;        /* on purpose */
    uint64_t ready_at; /* loop time */
    TAILQ_ENTRY(conn) link;
};

TAILQ_HEAD(conns, conn);

/* The connections of one section. */
struct pool {
    struct warm *warm;
    const struct frontend *frontend; /* of the snapshot in service */
    size_t wanted;
    size_t count; /* that are dialled or ready */
    struct conns dialled;
    struct conns ready;    /* the latest first */
    unsigned failures;     /* without a success between them */
    uint64_t paused_until; /* loop time: no dial before it */
    uv_timer_t timer;      /* the next dial or end of a lifetime */
    int holds;             /* the timer, and tunnels that are not freed yet */
};

struct warm {
    struct thread *thread;
    size_t worker, workers;
    struct snapshot *snapshot; /* a reference; NULL: nothing was applied yet */
    struct pool **pools;       /* of each front end of the snapshot, or NULL */
    bool stopped;
};

/* Counters. */

size_t warm_wanted(const struct frontend *frontend)
{
    if (!frontend->section || frontend->front != &front_raw)
        return 0; /* a client that says where it goes, or more, is waited for */
    return (size_t)frontend->section->config->warm * frontend->listen->count;
}

void warm_prepare(struct snapshot *s, size_t workers)
{
    size_t i;

    for (i = 0; i < s->frontend_count; i++)
        if (warm_wanted(&s->frontends[i]) > 0 && !s->frontends[i].stats->warm)
            s->frontends[i].stats->warm = xcalloc(workers, sizeof(_Atomic int));
}

bool warm_promise(struct stats *stats, size_t worker)
{
    int n = stats->warm ? atomic_load(&stats->warm[worker]) : 0;

    while (n > 0)
        if (atomic_compare_exchange_weak(&stats->warm[worker], &n, n - 1))
            return true;
    return false;
}

void warm_withdraw(struct stats *stats, size_t worker)
{
    atomic_fetch_add(&stats->warm[worker], 1);
}

/* Changes the number of connections that can be promised. */
static void count_promisable(const struct pool *p, int change)
{
    atomic_fetch_add(&p->frontend->stats->warm[p->warm->worker], change);
}

/* Connections. */

static uint64_t now(const struct pool *p)
{
    return uv_now(&p->warm->thread->loop);
}

static void schedule(struct pool *p);

/* One failure counts for all that fail in the same moment. */
static void pause_dialling(struct pool *p)
{
    uint64_t ms = (uint64_t)PAUSE_MIN_MS << p->failures;

    if (p->paused_until > now(p))
        return;
    if (ms < PAUSE_MAX_MS)
        p->failures++;
    else
        ms = PAUSE_MAX_MS;
    p->paused_until = now(p) + ms + (uint64_t)random() % (ms / 4);
}

static void add_ready(struct conn *c)
{
    struct pool *p = c->pool;

    TAILQ_REMOVE(&p->dialled, c, link);
    TAILQ_INSERT_HEAD(&p->ready, c, link);
    c->ready = true;
    c->ready_at = now(p);
    stats_add(p->frontend->stats, STATS_WARM, 1);
}

/* Takes a connection out of its list: it is used, or it has ended. */
static void remove_conn(struct conn *c)
{
    struct pool *p = c->pool;

    p->count--;
    if (c->ready) {
        TAILQ_REMOVE(&p->ready, c, link);
        stats_subtract(p->frontend->stats, STATS_WARM, 1);
    } else {
        TAILQ_REMOVE(&p->dialled, c, link);
    }
}

static void on_opening(struct tunnel *t, void *owner)
{
    struct conn *c = owner;

    (void)t;
    add_ready(c);
    count_promisable(c->pool, 1);
    schedule(c->pool);
}

static void on_ended(struct tunnel *t, enum reason reason, const char *detail, void *owner)
{
    struct conn *c = owner;
    struct pool *p = c->pool;

    (void)t;
    (void)reason;
    (void)detail;
    if (c->ready)
        count_promisable(p, -1);
    remove_conn(c);
    if (c->ended)
        return;
    if (c->ready && now(p) - c->ready_at >= PROVEN_MS)
        p->failures = 0;
    else
        pause_dialling(p);
    schedule(p);
}

static void release_pool(struct pool *p)
{
    if (--p->holds == 0)
        free(p);
}

static void on_freed(struct tunnel *t, void *owner)
{
    struct conn *c = owner;
    struct pool *p = c->pool;

    (void)t;
    free(c);
    release_pool(p);
}

static const struct tunnel_events events = {on_opening, on_ended, on_freed};

static void start_conn(struct pool *p)
{
    struct warm *w = p->warm;
    struct conn *c = calloc(1, sizeof(*c));

    if (c) {
        c->pool = p;
        c->tunnel = tunnel_start_warm(w->thread, snapshot_hold(w->snapshot), p->frontend, &events,
                                      c);
    }
    if (!c || !c->tunnel) {
        free(c);
        pause_dialling(p);
        return;
    }
    p->holds++;
    p->count++;
    TAILQ_INSERT_TAIL(&p->dialled, c, link);
}

static void end_conn(struct conn *c)
{
    c->ended = true;
    tunnel_end_warm(c->tunnel);
}

/* Pools. */

static uint64_t expiry(const struct conn *c)
{
    return c->ready_at + (uint64_t)c->pool->frontend->section->config->warm_lifetime;
}

/* Returns true if nobody has been asked for the first key of a section: that is left to a client. */
static bool awaits_first_use(const struct section *s)
{
    struct policy_pins pins;

    if (!config_uses_tofu(s->config))
        return false;
    policy_pins(s->policy, &pins);
    return pins.count == 0;
}

static bool may_dial(const struct pool *p)
{
    size_t dialled = 0;
    const struct conn *c;

    TAILQ_FOREACH (c, &p->dialled, link)
        dialled++;
    /* after a failure one connection tries whether the server is well again */
    return p->count < p->wanted && dialled < (p->failures ? 1 : DIALS_MAX)
           && !awaits_first_use(p->frontend->section);
}

static void on_timer(uv_timer_t *timer)
{
    struct pool *p = timer->data;
    struct conn *oldest;

    thread_turn(p->warm->thread);
    if (uv_is_closing((uv_handle_t *)timer))
        return;
    while ((oldest = TAILQ_LAST(&p->ready, conns)) && expiry(oldest) <= now(p)) {
        p->failures = 0;
        end_conn(oldest);
    }
    while (may_dial(p) && p->paused_until <= now(p))
        start_conn(p);
    schedule(p);
}

/* Sets the timer for what comes next. Everything is done by it, so nothing delays a client. */
static void schedule(struct pool *p)
{
    const struct conn *oldest = TAILQ_LAST(&p->ready, conns);
    uint64_t due = UINT64_MAX;

    if (uv_is_closing((uv_handle_t *)&p->timer))
        return;
    if (oldest)
        due = expiry(oldest);
    if (may_dial(p) && p->paused_until < due)
        due = p->paused_until;
    if (due == UINT64_MAX)
        uv_timer_stop(&p->timer);
    else
        uv_timer_start(&p->timer, on_timer, due > now(p) ? due - now(p) : 0, 0);
}

static void on_timer_closed(uv_handle_t *handle)
{
    release_pool(handle->data);
}

/* Ends as many connections as are too many, first those that are not ready. */
static void shrink(struct pool *p)
{
    while (p->count > p->wanted) {
        struct conn *c = TAILQ_LAST(&p->dialled, conns);

        end_conn(c ? c : TAILQ_LAST(&p->ready, conns));
    }
}

static struct pool *new_pool(struct warm *w, const struct frontend *f, size_t wanted)
{
    struct pool *p = xcalloc(1, sizeof(*p));

    p->warm = w;
    p->frontend = f;
    p->wanted = wanted;
    TAILQ_INIT(&p->dialled);
    TAILQ_INIT(&p->ready);
    (void)uv_timer_init(&w->thread->loop, &p->timer); /* cannot fail */
    p->timer.data = p;
    p->holds = 1;
    return p;
}

static void close_pool(struct pool *p)
{
    p->wanted = 0;
    uv_close((uv_handle_t *)&p->timer, on_timer_closed);
    shrink(p);
}

/* The workers. */

/* Returns the part of this worker. The rest of the division goes to other workers each time. */
static size_t share(const struct warm *w, const struct snapshot *s, size_t frontend)
{
    const size_t all = warm_wanted(&s->frontends[frontend]);

    return all / w->workers + ((w->worker + frontend) % w->workers < all % w->workers);
}

/* Returns true if a connection that one section has made is one that the other would make. */
static bool is_same(const struct section *a, const struct section *b)
{
    if (a == b)
        return true;
    if (memcmp(a->policy->id, b->policy->id, POLICY_ID_SIZE) != 0
        || !options_agree(OPTION_NO_IDENTITY, a->config, b->config) || !a->outer != !b->outer)
        return false;
    return !a->outer || is_same(a->outer->section, b->outer->section);
}

/* Has a pool continue with another snapshot, in which it belongs to front end f. */
static void keep_pool(struct pool *p, const struct frontend *f, size_t wanted)
{
    struct conn *c, *next;

    p->frontend = f;
    p->wanted = wanted;
    p->paused_until = 0;
    shrink(p);
    for (c = TAILQ_FIRST(&p->dialled); c; c = next) {
        next = TAILQ_NEXT(c, link);
        tunnel_apply(c->tunnel, p->warm->snapshot);
    }
    for (c = TAILQ_FIRST(&p->ready); c; c = next) {
        next = TAILQ_NEXT(c, link);
        tunnel_apply(c->tunnel, p->warm->snapshot);
    }
}

struct warm *warm_new(struct thread *thread, size_t worker, size_t workers)
{
    struct warm *w = xcalloc(1, sizeof(*w));

    w->thread = thread;
    w->worker = worker;
    w->workers = workers;
    return w;
}

/* Moves the pools that stay to their place in `pools`, and closes the others. */
static void move_pools(struct warm *w, const struct snapshot *before, struct pool **pools)
{
    const struct snapshot *s = w->snapshot;
    size_t i, at;

    for (i = 0; w->pools && i < before->frontend_count; i++) {
        struct pool *p = w->pools[i];
        const struct frontend *f = p ? snapshot_find_frontend(s, p->frontend->name) : NULL;

        if (!p)
            continue;
        at = f ? (size_t)(f - s->frontends) : 0;
        if (f && share(w, s, at) > 0 && is_same(p->frontend->section, f->section)) {
            pools[at] = p;
            keep_pool(p, f, share(w, s, at));
        } else {
            close_pool(p);
        }
    }
}

void warm_apply(struct warm *w, struct snapshot *snapshot)
{
    struct snapshot *before;
    struct pool **pools;
    uint64_t delay = 0;
    size_t i;

    if (w->stopped)
        return;
    before = w->snapshot;
    w->snapshot = snapshot_hold(snapshot);
    pools = xcalloc(snapshot->frontend_count, sizeof(struct pool *));
    move_pools(w, before, pools);
    free(w->pools);
    w->pools = pools;
    for (i = 0; i < snapshot->frontend_count; i++) {
        if (!pools[i] && share(w, snapshot, i) > 0) {
            pools[i] = new_pool(w, &snapshot->frontends[i], share(w, snapshot, i));
            pools[i]->paused_until = now(pools[i]) + STAGGER_MS * delay++;
        }
        if (pools[i])
            schedule(pools[i]);
    }
    snapshot_release(before);
}

/* Returns a connection that is ready, out of its list. Those that are not to be used are ended. */
static struct conn *take_conn(struct pool *p)
{
    struct conn *c, *next;

    for (c = TAILQ_FIRST(&p->ready); c; c = next) {
        next = TAILQ_NEXT(c, link);
        if (expiry(c) > now(p) && tunnel_is_ready(c->tunnel)) {
            remove_conn(c);
            p->failures = 0;
            if (p->paused_until < now(p) + REFILL_MS)
                p->paused_until = now(p) + REFILL_MS;
            schedule(p);
            return c;
        }
    }
    return NULL;
}

struct tunnel *warm_take(struct warm *w, const struct snapshot *s, const struct frontend *frontend,
                         bool promised)
{
    const bool serves = s == w->snapshot && w->pools && w->pools[frontend - s->frontends];
    struct tunnel *t;
    struct conn *c;

    if (!frontend->stats->warm)
        return NULL;
    if (!promised && !(serves && warm_promise(frontend->stats, w->worker)))
        return NULL;
    c = serves ? take_conn(w->pools[frontend - s->frontends]) : NULL;
    if (!c) {
        warm_withdraw(frontend->stats, w->worker);
        return NULL;
    }
    t = c->tunnel;
    release_pool(c->pool);
    free(c);
    return t;
}

void warm_stop(struct warm *w)
{
    size_t i;

    for (i = 0; w->pools && i < w->snapshot->frontend_count; i++)
        if (w->pools[i])
            close_pool(w->pools[i]);
    free(w->pools);
    w->pools = NULL;
    w->stopped = true;
}

void warm_free(struct warm *w)
{
    free(w->pools);
    snapshot_release(w->snapshot);
    free(w);
}
