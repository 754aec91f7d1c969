#include "net/resolver.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/util.h"
#include "net/lookup.h"

/* After a failure, the last good answer is used for this time without a new look-up. */
#define RETRY_MS 2000

/* If there is an old answer, a new one is awaited for this time. */
#define LATE_MS 1000

#define BUCKETS 1024

/* Names in the cache. Beyond that, the least recently used name is dropped. */
#define NAMES_MAX 16384

struct resolver_entry {
    char *host;
    int family;
    struct addr *addresses; /* of the last good answer */
    size_t count;
    const char *error;    /* if there was none */
    uint64_t resolved_at; /* if count > 0 */
    uint64_t failed_at;   /* 0: the last look-up did not fail */
    uint64_t started_at;  /* of the look-up that runs */
    bool looking;         /* the look-up runs, or waits for room */
    bool forgotten;       /* in no list: freed when the look-up ends */
    struct lookup lookup;
    TAILQ_HEAD(, resolver_request) requests;
    LIST_ENTRY(resolver_entry) link;
    TAILQ_ENTRY(resolver_entry) age;
};

/* The cache of the process. The lock is never held over a system call that may wait. */
static struct {
    pthread_mutex_t lock;
    LIST_HEAD(, resolver_entry) entries[BUCKETS];
    TAILQ_HEAD(, resolver_entry) by_age; /* the least recently used one first */
    size_t count;
    size_t users;
} cache = {.lock = PTHREAD_MUTEX_INITIALIZER, .by_age = TAILQ_HEAD_INITIALIZER(cache.by_age)};

struct resolver {
    uv_loop_t *loop;
    uv_async_t wake;
    uv_timer_t late;
    int handles;
    LIST_HEAD(, resolver_request) asked;     /* of this loop, answered ones too */
    TAILQ_HEAD(, resolver_request) answered; /* under the cache's lock */
};

/* Returns the clock of uv_now(), in any thread. */
static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

/* Entries. The lock is held in all of these. */

static void free_entry(struct resolver_entry *e)
{
    free(e->host);
    free(e->addresses);
    free(e);
}

static void forget_entry(struct resolver_entry *e)
{
    LIST_REMOVE(e, link);
    TAILQ_REMOVE(&cache.by_age, e, age);
    cache.count--;
    e->forgotten = true;
    if (!e->looking)
        free_entry(e);
}

static void forget_oldest_entry(void)
{
    struct resolver_entry *e;

    TAILQ_FOREACH (e, &cache.by_age, age) {
        if (!e->looking) {
            forget_entry(e);
            return;
        }
    }
}

static size_t bucket(const char *host)
{
    size_t hash = 5381;

    for (; *host; host++)
        hash = hash * 33 + (size_t)tolower((unsigned char)*host);
    return hash % BUCKETS;
}

static void on_looked_up(struct lookup *l, int error, struct addrinfo *list);

static struct resolver_entry *new_entry(const char *host, int family)
{
    struct resolver_entry *e = calloc(1, sizeof(*e));

    if (!e || !(e->host = strdup(host))) {
        free(e);
        return NULL;
    }
    e->family = family;
    e->lookup.host = e->host;
    e->lookup.family = family;
    e->lookup.class = LOOKUP_NEW;
    e->lookup.done = on_looked_up;
    TAILQ_INIT(&e->requests);
    if (cache.count >= NAMES_MAX)
        forget_oldest_entry();
    LIST_INSERT_HEAD(&cache.entries[bucket(host)], e, link);
    TAILQ_INSERT_TAIL(&cache.by_age, e, age);
    cache.count++;
    return e;
}

static struct resolver_entry *find_entry(const char *host, int family)
{
    struct resolver_entry *e;

    LIST_FOREACH (e, &cache.entries[bucket(host)], link) {
        if (e->family == family && strcasecmp(e->host, host) == 0) {
            TAILQ_REMOVE(&cache.by_age, e, age);
            TAILQ_INSERT_TAIL(&cache.by_age, e, age);
            return e;
        }
    }
    return new_entry(host, family);
}

static bool is_within(uint64_t since, uint64_t now, int64_t ms)
{
    /* a loop's clock may be behind */
    return ms > 0 && (now <= since || now - since < (uint64_t)ms);
}

static bool is_late(const struct resolver_entry *e, uint64_t now)
{
    return e->looking && !is_within(e->started_at, now, LATE_MS);
}

/* Returns true if the answer that is known is used at once. */
static bool is_usable(const struct resolver_entry *e, uint64_t now, int64_t max_age)
{
    if (e->count == 0)
        return false;
    return is_within(e->resolved_at, now, max_age) || is_late(e, now)
           || (e->failed_at
               && is_within(e->failed_at, now, max_age < RETRY_MS ? max_age : RETRY_MS));
}

static void copy_answer(const struct resolver_entry *e, struct resolver_request *q)
{
    q->count = e->count;
    q->error = e->error;
    if (e->count > 0)
        memcpy(q->addresses, e->addresses, e->count * sizeof(e->addresses[0]));
}

/* Answers a request that waits. The caller wakes its loop. */
static void answer_request(struct resolver_entry *e, struct resolver_request *q)
{
    TAILQ_REMOVE(&e->requests, q, link);
    q->entry = NULL;
    copy_answer(e, q);
    TAILQ_INSERT_TAIL(&q->resolver->answered, q, link);
}

static bool is_ip(int family)
{
    return family == AF_INET || family == AF_INET6;
}

/*
 * Returns the maximum number of addresses of a family: up to half of the room is left for the other
 * one.
 */
static size_t room_for(int family, const struct addrinfo *list)
{
    size_t others = 0;

    for (; list && others < RESOLVER_ADDRESSES_MAX / 2; list = list->ai_next)
        if (is_ip(list->ai_family) && list->ai_family != family)
            others++;
    return RESOLVER_ADDRESSES_MAX - others;
}

static const char *take_list(struct resolver_entry *e, const struct addrinfo *list)
{
    size_t room[] = {room_for(AF_INET, list), room_for(AF_INET6, list)};
    struct addr found[RESOLVER_ADDRESSES_MAX], *copy;
    const struct addrinfo *ai;
    size_t count = 0, *left;

    for (ai = list; ai && count < RESOLVER_ADDRESSES_MAX; ai = ai->ai_next) {
        left = &room[ai->ai_family == AF_INET6];
        if (!is_ip(ai->ai_family) || *left == 0)
            continue;
        addr_from_sockaddr(&found[count++], ai->ai_addr, ai->ai_addrlen);
        --*left;
    }
    if (count == 0)
        return "the name has no address";
    copy = malloc(count * sizeof(found[0]));
    if (!copy)
        return "out of memory";
    memcpy(copy, found, count * sizeof(found[0]));
    free(e->addresses);
    e->addresses = copy;
    e->count = count;
    return NULL;
}

/* Ends a look-up. Called from its thread, or from the one that could not start it. */
static void end_lookup(struct resolver_entry *e, const char *error, const struct addrinfo *list)
{
    struct resolver_request *q;
    const uint64_t now = now_ms();

    pthread_mutex_lock(&cache.lock);
    if (!error)
        error = take_list(e, list);
    if (!error)
        e->resolved_at = now;
    e->failed_at = error ? now : 0;
    e->error = e->count ? NULL : error; /* the last good answer stays */
    e->looking = false;
    while ((q = TAILQ_FIRST(&e->requests))) {
        answer_request(e, q);
        (void)uv_async_send(&q->resolver->wake);
    }
    if (e->forgotten)
        free_entry(e);
    pthread_mutex_unlock(&cache.lock);
}

static void on_looked_up(struct lookup *l, int error, struct addrinfo *list)
{
    struct resolver_entry *e = container_of(l, struct resolver_entry, lookup);
    const char *why = error == EAI_SYSTEM ? strerrordesc_np(errno) : gai_strerror(error);

    end_lookup(e, error ? why : NULL, list);
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
        pthread_mutex_lock(&cache.lock);
        q = TAILQ_FIRST(&r->answered);
        if (q)
            TAILQ_REMOVE(&r->answered, q, link);
        pthread_mutex_unlock(&cache.lock);
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

    pthread_mutex_lock(&cache.lock);
    LIST_FOREACH (q, &r->asked, asked) {
        struct resolver_entry *e = q->entry;

        if (!e || e->count == 0)
            continue;
        if (is_late(e, now))
            answer_request(e, q);
        else if (e->started_at + LATE_MS < next)
            next = e->started_at + LATE_MS;
    }
    pthread_mutex_unlock(&cache.lock);
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
    pthread_mutex_lock(&cache.lock);
    cache.users++;
    pthread_mutex_unlock(&cache.lock);
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
    struct resolver_entry *e;

    if (!r)
        return;
    assert(LIST_EMPTY(&r->asked));
    uv_close((uv_handle_t *)&r->wake, on_closed);
    uv_close((uv_handle_t *)&r->late, on_closed);
    pthread_mutex_lock(&cache.lock);
    if (--cache.users == 0)
        while ((e = TAILQ_FIRST(&cache.by_age)))
            forget_entry(e);
    pthread_mutex_unlock(&cache.lock);
}

/*
 * Lets a request wait for the entry's look-up. Returns true if the caller has to start it. The lock
 * is held.
 */
static bool queue_request(struct resolver_entry *e, struct resolver *r, struct resolver_request *q,
                          uint64_t now)
{
    const bool first = !e->looking;

    q->resolver = r;
    q->entry = e;
    TAILQ_INSERT_TAIL(&e->requests, q, link);
    if (first) {
        e->looking = true;
        e->started_at = now;
    }
    return first;
}

bool resolver_ask(struct resolver *r, const char *host, int family, int64_t max_age,
                  struct resolver_request *request)
{
    const uint64_t now = uv_now(r->loop);
    struct resolver_entry *e;
    uint64_t late = 0;
    bool first;

    request->count = 0;
    request->error = "out of memory";
    request->resolver = NULL;
    request->entry = NULL;
    pthread_mutex_lock(&cache.lock);
    e = find_entry(host, family);
    if (!e || is_usable(e, now, max_age)) {
        if (e)
            copy_answer(e, request);
        pthread_mutex_unlock(&cache.lock);
        return true;
    }
    first = queue_request(e, r, request, now);
    if (e->count > 0)
        late = e->started_at + LATE_MS;
    pthread_mutex_unlock(&cache.lock);

    if (LIST_EMPTY(&r->asked))
        uv_ref((uv_handle_t *)&r->wake);
    LIST_INSERT_HEAD(&r->asked, request, asked);
    if (late)
        arm_late(r, late);
    if (first && lookup_start(&e->lookup) != 0)
        end_lookup(e, "no thread could be started for the look-up", NULL);
    return false;
}

void resolver_cancel(struct resolver_request *request)
{
    if (!request->resolver)
        return;
    pthread_mutex_lock(&cache.lock);
    if (request->entry)
        TAILQ_REMOVE(&request->entry->requests, request, link);
    else
        TAILQ_REMOVE(&request->resolver->answered, request, link);
    request->entry = NULL;
    pthread_mutex_unlock(&cache.lock);
    end_request(request);
}
