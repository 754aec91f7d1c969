#include "net/resolver.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Look-ups at once on one loop; the rest wait their turn. */
#define LOOKUPS_MOST 4

/* How long a last good answer is used after a failure before the resolver is asked again. */
#define RETRY_MS 2000

#define BUCKETS 256

struct resolver_entry {
    struct resolver *resolver;
    char *host;
    int family;
    struct addr addresses[RESOLVER_ADDRESSES_MAX];
    size_t count;
    const char *error;
    uint64_t asked_again_at; /* loop time: no look-up before, if the last one failed */
    uint64_t resolved_at;
    bool looking; /* a look-up runs */
    bool waiting; /* one is to be run */
    uv_getaddrinfo_t lookup;
    LIST_HEAD(, resolver_request) requests;
    LIST_ENTRY(resolver_entry) link;
    TAILQ_ENTRY(resolver_entry) turn;
};

struct resolver {
    uv_loop_t *loop;
    int running;
    bool closing;
    LIST_HEAD(, resolver_entry) entries[BUCKETS];
    TAILQ_HEAD(, resolver_entry) waiting;
};

struct resolver *resolver_new(uv_loop_t *loop)
{
    struct resolver *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    r->loop = loop;
    TAILQ_INIT(&r->waiting);
    return r;
}

static void destroy(struct resolver *r)
{
    struct resolver_entry *e;
    size_t i;

    for (i = 0; i < BUCKETS; i++) {
        while ((e = LIST_FIRST(&r->entries[i]))) {
            LIST_REMOVE(e, link);
            free(e->host);
            free(e);
        }
    }
    free(r);
}

void resolver_close(struct resolver *r)
{
    struct resolver_entry *e;
    size_t i;

    if (!r)
        return;
    r->closing = true;
    for (i = 0; i < BUCKETS; i++)
        LIST_FOREACH (e, &r->entries[i], link)
            if (e->looking)
                (void)uv_cancel((uv_req_t *)&e->lookup); /* it may run on; then it ends by itself */
    if (r->running == 0)
        destroy(r);
}

static void answer(const struct resolver_entry *e, struct resolver_request *q)
{
    q->count = e->count;
    q->error = e->error;
    memcpy(q->addresses, e->addresses, e->count * sizeof(e->addresses[0]));
}

static void answer_all(struct resolver_entry *e)
{
    struct resolver_request *q;

    while ((q = LIST_FIRST(&e->requests))) {
        resolver_cancel(q);
        answer(e, q);
        if (!q->asking)
            q->done(q);
    }
}

static void keep_answer(struct resolver_entry *e, const struct addrinfo *list)
{
    const struct addrinfo *ai;

    e->count = 0;
    for (ai = list; ai && e->count < RESOLVER_ADDRESSES_MAX; ai = ai->ai_next)
        if (ai->ai_family == AF_INET || ai->ai_family == AF_INET6)
            addr_from_sockaddr(&e->addresses[e->count++], ai->ai_addr, ai->ai_addrlen);
    e->error = e->count ? NULL : "the name has no address";
    e->resolved_at = uv_now(e->resolver->loop);
}

static void run_lookups(struct resolver *r);

static void on_resolved(uv_getaddrinfo_t *lookup, int status, struct addrinfo *list)
{
    struct resolver_entry *e = lookup->data;
    struct resolver *r = e->resolver;

    e->looking = false;
    r->running--;
    if (status == 0)
        keep_answer(e, list);
    else if (e->count > 0)
        e->asked_again_at = uv_now(r->loop) + RETRY_MS; /* the last good answer stays */
    else
        e->error = uv_strerror(status);
    uv_freeaddrinfo(list);
    if (r->closing) {
        if (r->running == 0)
            destroy(r);
        return;
    }
    answer_all(e);
    run_lookups(r);
}

static void start_lookup(struct resolver_entry *e)
{
    const struct addrinfo hints = {.ai_family = e->family, .ai_socktype = SOCK_STREAM};
    int error;

    e->lookup.data = e;
    error = uv_getaddrinfo(e->resolver->loop, &e->lookup, on_resolved, e->host, NULL, &hints);
    if (error) {
        if (e->count == 0)
            e->error = uv_strerror(error);
        answer_all(e);
        return;
    }
    e->looking = true;
    e->resolver->running++;
}

static void run_lookups(struct resolver *r)
{
    struct resolver_entry *e;

    while (r->running < LOOKUPS_MOST && (e = TAILQ_FIRST(&r->waiting))) {
        TAILQ_REMOVE(&r->waiting, e, turn);
        e->waiting = false;
        start_lookup(e);
    }
}

static size_t bucket(const char *host)
{
    size_t hash = 5381;

    for (; *host; host++)
        hash = hash * 33 + (size_t)tolower((unsigned char)*host);
    return hash % BUCKETS;
}

static struct resolver_entry *find_entry(struct resolver *r, const char *host, int family)
{
    const size_t b = bucket(host);
    struct resolver_entry *e;

    LIST_FOREACH (e, &r->entries[b], link)
        if (e->family == family && strcasecmp(e->host, host) == 0)
            return e;
    e = calloc(1, sizeof(*e));
    if (!e || !(e->host = strdup(host))) {
        free(e);
        return NULL;
    }
    e->resolver = r;
    e->family = family;
    LIST_INIT(&e->requests);
    LIST_INSERT_HEAD(&r->entries[b], e, link);
    return e;
}

static bool is_fresh(const struct resolver_entry *e, int64_t max_age)
{
    const uint64_t now = uv_now(e->resolver->loop);

    return e->count > 0 && (now < e->asked_again_at || now - e->resolved_at < (uint64_t)max_age);
}

bool resolver_ask(struct resolver *r, const char *host, int family, int64_t max_age,
                  struct resolver_request *request)
{
    struct resolver_entry *e = find_entry(r, host, family);

    request->count = 0;
    request->error = "out of memory";
    request->entry = NULL;
    if (!e)
        return true;
    if (is_fresh(e, max_age)) {
        answer(e, request);
        return true;
    }
    request->entry = e;
    LIST_INSERT_HEAD(&e->requests, request, link);
    if (!e->looking && !e->waiting) {
        e->waiting = true;
        TAILQ_INSERT_TAIL(&r->waiting, e, turn);
        request->asking = true;
        run_lookups(r);
        request->asking = false;
    }
    /* a look-up that could not be started has answered with that */
    return request->entry == NULL;
}

void resolver_cancel(struct resolver_request *request)
{
    if (!request->entry)
        return;
    LIST_REMOVE(request, link);
    request->entry = NULL;
}
