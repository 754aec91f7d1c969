#include "net/resolver.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

/* Protects the cache, and the requests that wait. Never held over a call that may wait. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static size_t users; /* resolvers, under the lock */

struct resolver {
    uv_loop_t *loop;
    uv_async_t wake;
    uv_timer_t late;
    int handles;
    LIST_HEAD(, resolver_request) asked;     /* of this loop, answered ones too */
    TAILQ_HEAD(, resolver_request) answered; /* under the lock */
};

/* Returns the clock of uv_now(), in any thread. */
static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

static void copy_answer(const struct cached_name *n, struct resolver_request *q)
{
    q->count = n->count;
    q->error = n->error;
    q->temporary = n->error && !n->denied;
    if (n->count > 0)
        memcpy(q->addresses, n->addresses, n->count * sizeof(n->addresses[0]));
}

/* Answers a request that waits. The caller wakes its loop. */
static void answer_request(struct cached_name *n, struct resolver_request *q)
{
    TAILQ_REMOVE(&n->requests, q, link);
    q->name = NULL;
    copy_answer(n, q);
    TAILQ_INSERT_TAIL(&q->resolver->answered, q, link);
}

/* Ends a look-up. Called from its thread, or from the one that could not start it. */
static void end_lookup(struct cached_name *n, const char *error, bool denied,
                       const struct addrinfo *list)
{
    struct resolver_request *q;
    const uint64_t now = now_ms();

    pthread_mutex_lock(&lock);
    namecache_set(n, error, denied, list, now);
    while ((q = TAILQ_FIRST(&n->requests))) {
        answer_request(n, q);
        (void)uv_async_send(&q->resolver->wake);
    }
    namecache_release(n);
    pthread_mutex_unlock(&lock);
}

/* Returns true for an error that is the answer: there is no such name, or no such address. */
static bool is_denial(int error)
{
    return error == EAI_NONAME || error == EAI_NODATA || error == EAI_ADDRFAMILY;
}

static void on_looked_up(struct lookup *l, int error, struct addrinfo *list)
{
    struct cached_name *n = container_of(l, struct cached_name, lookup);
    const char *why = error == EAI_SYSTEM ? strerrordesc_np(errno) : gai_strerror(error);

    end_lookup(n, error ? why : NULL, is_denial(error), list);
    if (list)
        freeaddrinfo(list);
}

/* The part of one loop. */

static void end_request(struct resolver_request *q)
{
    struct resolver *r = q->resolver;

    LIST_REMOVE(q, asked);
    q->resolver = NULL;
    if (!LIST_EMPTY(&r->asked))
        return;
    /* nothing is awaited: the loop may end */
    uv_unref((uv_handle_t *)&r->wake);
    uv_timer_stop(&r->late);
}

static void deliver_answers(struct resolver *r)
{
    struct resolver_request *q;

    for (;;) {
        pthread_mutex_lock(&lock);
        q = TAILQ_FIRST(&r->answered);
        if (q)
            TAILQ_REMOVE(&r->answered, q, link);
        pthread_mutex_unlock(&lock);
        if (!q)
            return;
        end_request(q);
        q->done(q);
    }
}

static void on_wake(uv_async_t *wake)
{
    deliver_answers(wake->data);
}

static void on_late(uv_timer_t *timer);

static void arm_late(struct resolver *r, uint64_t at)
{
    const uint64_t now = uv_now(r->loop), ms = at > now ? at - now : 0;

    if (!uv_is_active((uv_handle_t *)&r->late) || uv_timer_get_due_in(&r->late) > ms)
        uv_timer_start(&r->late, on_late, ms, 0);
}

/* Gives the old answer to requests that have waited long enough for a new one. */
static void on_late(uv_timer_t *timer)
{
    struct resolver *r = timer->data;
    const uint64_t now = uv_now(r->loop);
    uint64_t next = UINT64_MAX;
    struct resolver_request *q;

    pthread_mutex_lock(&lock);
    LIST_FOREACH (q, &r->asked, asked) {
        struct cached_name *n = q->name;

        if (!n || n->count == 0)
            continue;
        if (namecache_is_late(n, now))
            answer_request(n, q);
        else if (n->started_at + NAMECACHE_LATE_MS < next)
            next = n->started_at + NAMECACHE_LATE_MS;
    }
    pthread_mutex_unlock(&lock);
    if (next < UINT64_MAX)
        arm_late(r, next);
    deliver_answers(r);
}

int resolver_new(uv_loop_t *loop, struct resolver **out)
{
    struct resolver *r = calloc(1, sizeof(*r));
    int error;

    if (!r)
        return UV_ENOMEM;
    r->loop = loop;
    LIST_INIT(&r->asked);
    TAILQ_INIT(&r->answered);
    error = uv_async_init(loop, &r->wake, on_wake);
    if (error) {
        free(r);
        return error;
    }
    (void)uv_timer_init(loop, &r->late); /* cannot fail */
    r->wake.data = r;
    r->late.data = r;
    r->handles = 2;
    uv_unref((uv_handle_t *)&r->wake);
    pthread_mutex_lock(&lock);
    users++;
    pthread_mutex_unlock(&lock);
    *out = r;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct resolver *r = handle->data;

    if (--r->handles == 0)
        free(r);
}

void resolver_close(struct resolver *r)
{
    if (!r)
        return;
    assert(LIST_EMPTY(&r->asked));
    uv_close((uv_handle_t *)&r->wake, on_closed);
    uv_close((uv_handle_t *)&r->late, on_closed);
    pthread_mutex_lock(&lock);
    if (--users == 0)
        namecache_clear();
    pthread_mutex_unlock(&lock);
}

/*
 * Lets a request wait for the name's look-up. Returns true if the caller has to start it. The lock
 * is held.
 */
static bool queue_request(struct cached_name *n, struct resolver *r, struct resolver_request *q,
                          uint64_t now)
{
    const bool first = !n->looking;

    q->resolver = r;
    q->name = n;
    TAILQ_INSERT_TAIL(&n->requests, q, link);
    q->since = first ? now : n->started_at;
    if (first) {
        n->lookup.done = on_looked_up;
        if (q->again && n->lookup.class == LOOKUP_NEW)
            n->lookup.class = LOOKUP_AGAIN;
        n->looking = true;
        n->started_at = now;
    }
    return first;
}

bool resolver_ask(struct resolver *r, const char *host, int family, int64_t max_age,
                  struct resolver_request *request)
{
    const uint64_t now = uv_now(r->loop);
    struct cached_name *n;
    uint64_t late = 0;
    bool first;

    request->count = 0;
    request->error = "out of memory";
    request->temporary = true;
    request->resolver = NULL;
    request->name = NULL;
    pthread_mutex_lock(&lock);
    n = namecache_add(host, family);
    if (!n || namecache_is_usable(n, now, max_age)) {
        if (n)
            copy_answer(n, request);
        pthread_mutex_unlock(&lock);
        return true;
    }
    first = queue_request(n, r, request, now);
    if (n->count > 0)
        late = n->started_at + NAMECACHE_LATE_MS;
    pthread_mutex_unlock(&lock);

    if (LIST_EMPTY(&r->asked))
        uv_ref((uv_handle_t *)&r->wake);
    LIST_INSERT_HEAD(&r->asked, request, asked);
    if (late)
        arm_late(r, late);
    if (first && lookup_start(&n->lookup) != 0)
        end_lookup(n, "no thread could be started for the look-up", false, NULL);
    return false;
}

bool resolver_find(struct resolver *r, const char *host, int family, int64_t max_age,
                   struct resolver_request *request)
{
    struct cached_name *n;
    bool found;

    pthread_mutex_lock(&lock);
    n = namecache_find(host, family);
    found = n && namecache_is_usable(n, uv_now(r->loop), max_age);
    if (found)
        copy_answer(n, request);
    pthread_mutex_unlock(&lock);
    return found;
}

void resolver_cancel(struct resolver_request *request)
{
    if (!request->resolver)
        return;
    pthread_mutex_lock(&lock);
    if (request->name)
        TAILQ_REMOVE(&request->name->requests, request, link);
    else
        TAILQ_REMOVE(&request->resolver->answered, request, link);
    request->name = NULL;
    pthread_mutex_unlock(&lock);
    end_request(request);
}
