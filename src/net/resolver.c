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

/* How long the last good answer is used after a failure before the name is looked up again. */
#define RETRY_MS 2000

/* How long a new answer is waited for when there is an old one. */
#define LATE_MS 1000

#define BUCKETS 1024

/* Names in memory; beyond it, those that nobody has asked for longest go. */
#define NAMES_MAX 16384

struct resolver_entry {
    char *host;
    int family;
    struct addr *addresses; /* of the last good answer */
    size_t count;
    const char *error;    /* when there was none */
    uint64_t resolved_at; /* when count > 0 */
    uint64_t failed_at;   /* 0: the last look-up did not fail */
    uint64_t started_at;  /* of the look-up */
    bool looking;         /* the look-up runs, or waits for room */
    bool forgotten;       /* in no list: goes when the look-up is over */
    struct lookup lookup;
    TAILQ_HEAD(, resolver_request) requests;
    LIST_ENTRY(resolver_entry) link;
    TAILQ_ENTRY(resolver_entry) age;
};

/* The process's memory. The lock is held for moments: never over a system call that may wait. */
static struct {
    pthread_mutex_t lock;
    LIST_HEAD(, resolver_entry) entries[BUCKETS];
    TAILQ_HEAD(, resolver_entry) by_age; /* the one not asked for longest is the first */
    size_t count;
    size_t users;
} memory = {.lock = PTHREAD_MUTEX_INITIALIZER, .by_age = TAILQ_HEAD_INITIALIZER(memory.by_age)};

struct resolver {
    uv_loop_t *loop;
    uv_async_t wake;
    uv_timer_t late;
    int handles;
    LIST_HEAD(, resolver_request) asked;     /* this loop's, answered ones too */
    TAILQ_HEAD(, resolver_request) answered; /* under the memory's lock */
};

/* What uv_now() counts from, and for any thread. */
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

static void forget(struct resolver_entry *e)
{
    LIST_REMOVE(e, link);
    TAILQ_REMOVE(&memory.by_age, e, age);
    memory.count--;
    e->forgotten = true;
    if (!e->looking)
        free_entry(e);
}

static void forget_oldest(void)
{
    struct resolver_entry *e;

    TAILQ_FOREACH (e, &memory.by_age, age) {
        if (!e->looking) {
            forget(e);
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
    if (memory.count >= NAMES_MAX)
        forget_oldest();
    LIST_INSERT_HEAD(&memory.entries[bucket(host)], e, link);
    TAILQ_INSERT_TAIL(&memory.by_age, e, age);
    memory.count++;
    return e;
}

static struct resolver_entry *find_entry(const char *host, int family)
{
    struct resolver_entry *e;

    LIST_FOREACH (e, &memory.entries[bucket(host)], link) {
        if (e->family == family && strcasecmp(e->host, host) == 0) {
            TAILQ_REMOVE(&memory.by_age, e, age);
            TAILQ_INSERT_TAIL(&memory.by_age, e, age);
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

/* Whether what is known is used without a wait. */
static bool is_usable(const struct resolver_entry *e, uint64_t now, int64_t max_age)
{
    if (e->count == 0)
        return false;
    return is_within(e->resolved_at, now, max_age) || is_late(e, now)
           || (e->failed_at
               && is_within(e->failed_at, now, max_age < RETRY_MS ? max_age : RETRY_MS));
}

static void answer(const struct resolver_entry *e, struct resolver_request *q)
{
    q->count = e->count;
    q->error = e->error;
    if (e->count > 0)
        memcpy(q->addresses, e->addresses, e->count * sizeof(e->addresses[0]));
}

/* Answers one who waits. Its loop is yet to be woken. */
static void answer_waiting(struct resolver_entry *e, struct resolver_request *q)
{
    TAILQ_REMOVE(&e->requests, q, link);
    q->entry = NULL;
    answer(e, q);
    TAILQ_INSERT_TAIL(&q->resolver->answered, q, link);
}

static bool is_ip(int family)
{
    return family == AF_INET || family == AF_INET6;
}

/*
 * Returns how many addresses of a family are taken at most: up to half of the room is left to the
 * addresses of the other one.
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

/* The end of a look-up. From its thread, or from the one that could not start it. */
static void end_lookup(struct resolver_entry *e, const char *error, const struct addrinfo *list)
{
    struct resolver_request *q;
    const uint64_t now = now_ms();

    pthread_mutex_lock(&memory.lock);
    if (!error)
        error = take_list(e, list);
    if (!error)
        e->resolved_at = now;
    e->failed_at = error ? now : 0;
    e->error = e->count ? NULL : error; /* the last good answer stays */
    e->looking = false;
    while ((q = TAILQ_FIRST(&e->requests))) {
        answer_waiting(e, q);
        (void)uv_async_send(&q->resolver->wake);
    }
    if (e->forgotten)
        free_entry(e);
    pthread_mutex_unlock(&memory.lock);
}

static void on_looked_up(struct lookup *l, int error, struct addrinfo *list)
{
    struct resolver_entry *e = container_of(l, struct resolver_entry, lookup);
    const char *why = error == EAI_SYSTEM ? strerrordesc_np(errno) : gai_strerror(error);

    end_lookup(e, error ? why : NULL, list);
    if (list)
        freeaddrinfo(list);
}

/* One loop's part. */

static void leave(struct resolver_request *q)
{
    struct resolver *r = q->resolver;

    LIST_REMOVE(q, asked);
    q->resolver = NULL;
    if (!LIST_EMPTY(&r->asked))
        return;
    /* nothing to wait for: the loop may end */
    uv_unref((uv_handle_t *)&r->wake);
    uv_timer_stop(&r->late);
}

static void deliver(struct resolver *r)
{
    struct resolver_request *q;

    for (;;) {
        pthread_mutex_lock(&memory.lock);
        q = TAILQ_FIRST(&r->answered);
        if (q)
            TAILQ_REMOVE(&r->answered, q, link);
        pthread_mutex_unlock(&memory.lock);
        if (!q)
            return;
        leave(q);
        q->done(q);
    }
}

static void on_wake(uv_async_t *wake)
{
    deliver(wake->data);
}

static void on_late(uv_timer_t *timer);

static void arm_late(struct resolver *r, uint64_t at)
{
    const uint64_t now = uv_now(r->loop), ms = at > now ? at - now : 0;

    if (!uv_is_active((uv_handle_t *)&r->late) || uv_timer_get_due_in(&r->late) > ms)
        uv_timer_start(&r->late, on_late, ms, 0);
}

/* Who has waited for a new answer long enough gets the old one. */
static void on_late(uv_timer_t *timer)
{
    struct resolver *r = timer->data;
    const uint64_t now = uv_now(r->loop);
    uint64_t next = UINT64_MAX;
    struct resolver_request *q;

    pthread_mutex_lock(&memory.lock);
    LIST_FOREACH (q, &r->asked, asked) {
        struct resolver_entry *e = q->entry;

        if (!e || e->count == 0)
            continue;
        if (is_late(e, now))
            answer_waiting(e, q);
        else if (e->started_at + LATE_MS < next)
            next = e->started_at + LATE_MS;
    }
    pthread_mutex_unlock(&memory.lock);
    if (next < UINT64_MAX)
        arm_late(r, next);
    deliver(r);
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
    pthread_mutex_lock(&memory.lock);
    memory.users++;
    pthread_mutex_unlock(&memory.lock);
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
    pthread_mutex_lock(&memory.lock);
    if (--memory.users == 0)
        while ((e = TAILQ_FIRST(&memory.by_age)))
            forget(e);
    pthread_mutex_unlock(&memory.lock);
}

/* Under the lock: has the request wait for the entry's look-up. True: that is yet to be started. */
static bool wait_for(struct resolver_entry *e, struct resolver *r, struct resolver_request *q,
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
    pthread_mutex_lock(&memory.lock);
    e = find_entry(host, family);
    if (!e || is_usable(e, now, max_age)) {
        if (e)
            answer(e, request);
        pthread_mutex_unlock(&memory.lock);
        return true;
    }
    first = wait_for(e, r, request, now);
    if (e->count > 0)
        late = e->started_at + LATE_MS;
    pthread_mutex_unlock(&memory.lock);

    if (LIST_EMPTY(&r->asked))
        uv_ref((uv_handle_t *)&r->wake);
    LIST_INSERT_HEAD(&r->asked, request, asked);
    if (late)
        arm_late(r, late);
    if (first && lookup_start(&e->lookup) != 0)
        end_lookup(e, "no thread for the look-up", NULL);
    return false;
}

void resolver_cancel(struct resolver_request *request)
{
    if (!request->resolver)
        return;
    pthread_mutex_lock(&memory.lock);
    if (request->entry)
        TAILQ_REMOVE(&request->entry->requests, request, link);
    else
        TAILQ_REMOVE(&request->resolver->answered, request, link);
    request->entry = NULL;
    pthread_mutex_unlock(&memory.lock);
    leave(request);
}
