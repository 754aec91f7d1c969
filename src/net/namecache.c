#include "net/namecache.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* After a failure, the last good answer is used for this time without a new look-up. */
#define RETRY_MS 2000

#define BUCKETS 1024

static struct {
    LIST_HEAD(, cached_name) names[BUCKETS];
    TAILQ_HEAD(, cached_name) by_age; /* the least recently used one first */
    size_t count;
} cache = {.by_age = TAILQ_HEAD_INITIALIZER(cache.by_age)};

static void free_name(struct cached_name *n)
{
    free(n->host);
    free(n->addresses);
    free(n);
}

static void forget(struct cached_name *n)
{
    LIST_REMOVE(n, link);
    TAILQ_REMOVE(&cache.by_age, n, age);
    cache.count--;
    n->forgotten = true;
    if (!n->looking)
        free_name(n);
}

static void forget_oldest(void)
{
    struct cached_name *n;

    TAILQ_FOREACH (n, &cache.by_age, age) {
        if (!n->looking) {
            forget(n);
            return;
        }
    }
}

void namecache_clear(void)
{
    struct cached_name *n;

    while ((n = TAILQ_FIRST(&cache.by_age)))
        forget(n);
}

void namecache_release(struct cached_name *n)
{
    if (n->forgotten)
        free_name(n);
}

static size_t bucket(const char *host)
{
    size_t hash = 5381;

    for (; *host; host++)
        hash = hash * 33 + (size_t)tolower((unsigned char)*host);
    return hash % BUCKETS;
}

static struct cached_name *new_name(const char *host, int family)
{
    struct cached_name *n = calloc(1, sizeof(*n));

    if (!n || !(n->host = strdup(host))) {
        free(n);
        return NULL;
    }
    n->family = family;
    n->lookup.host = n->host;
    n->lookup.family = family;
    n->lookup.class = LOOKUP_NEW;
    TAILQ_INIT(&n->requests);
    if (cache.count >= NAMECACHE_NAMES_MAX)
        forget_oldest();
    LIST_INSERT_HEAD(&cache.names[bucket(host)], n, link);
    TAILQ_INSERT_TAIL(&cache.by_age, n, age);
    cache.count++;
    return n;
}

struct cached_name *namecache_find(const char *host, int family)
{
    struct cached_name *n;

    LIST_FOREACH (n, &cache.names[bucket(host)], link) {
        if (n->family == family && strcasecmp(n->host, host) == 0) {
            TAILQ_REMOVE(&cache.by_age, n, age);
            TAILQ_INSERT_TAIL(&cache.by_age, n, age);
            return n;
        }
    }
    return NULL;
}

struct cached_name *namecache_add(const char *host, int family)
{
    struct cached_name *n = namecache_find(host, family);

    return n ? n : new_name(host, family);
}

static bool is_within(uint64_t since, uint64_t now, int64_t ms)
{
    /* a loop's clock may be behind */
    return ms > 0 && (now <= since || now - since < (uint64_t)ms);
}

bool namecache_is_late(const struct cached_name *n, uint64_t now)
{
    return n->looking && !is_within(n->started_at, now, NAMECACHE_LATE_MS);
}

bool namecache_is_usable(const struct cached_name *n, uint64_t now, int64_t max_age)
{
    if (n->count == 0)
        return false;
    return is_within(n->resolved_at, now, max_age) || namecache_is_late(n, now)
           || (n->failed_at
               && is_within(n->failed_at, now, max_age < RETRY_MS ? max_age : RETRY_MS));
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

    for (; list && others < NAMECACHE_ADDRESSES_MAX / 2; list = list->ai_next)
        if (is_ip(list->ai_family) && list->ai_family != family)
            others++;
    return NAMECACHE_ADDRESSES_MAX - others;
}

static const char *take_list(struct cached_name *n, const struct addrinfo *list)
{
    size_t room[] = {room_for(AF_INET, list), room_for(AF_INET6, list)};
    struct addr found[NAMECACHE_ADDRESSES_MAX], *copy;
    const struct addrinfo *ai;
    size_t count = 0, *left;

    for (ai = list; ai && count < NAMECACHE_ADDRESSES_MAX; ai = ai->ai_next) {
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
    free(n->addresses);
    n->addresses = copy;
    n->count = count;
    return NULL;
}

void namecache_set(struct cached_name *n, const char *error, bool denied,
                   const struct addrinfo *list, uint64_t now)
{
    if (!error)
        error = take_list(n, list);
    if (!error)
        n->resolved_at = now;
    n->failed_at = error ? now : 0;
    n->denied = error && denied;
    n->error = n->count ? NULL : error; /* the last good answer stays */
    n->looking = false;
}
