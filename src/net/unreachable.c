#include "net/unreachable.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

/* An address may be in one of the WAYS places of its set. */
#define WAYS 8
#define SETS (UNREACHABLE_ADDRESSES_MAX / WAYS)

/* An IP address and its port. All bytes are compared, so there is no padding. */
struct key {
    uint8_t ip[16]; /* an IPv4 address as an IPv4-mapped one (RFC 4291 section 2.5.5.2) */
    uint32_t scope;
    uint32_t port;
};

struct failure {
    struct key key;
    bool used;
    uint64_t at;
};

static struct {
    pthread_mutex_t lock;
    struct failure failures[SETS][WAYS];
} memory = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* The number of failures that are used. A dial takes no lock while there is none. */
static _Atomic size_t count;

static struct key make_key(const struct addr *a)
{
    struct key k = {.port = addr_port(a)};

    if (a->sa.sa_family == AF_INET6) {
        memcpy(k.ip, &a->in6.sin6_addr, sizeof(k.ip));
        k.scope = a->in6.sin6_scope_id;
        return k;
    }
    k.ip[10] = k.ip[11] = 0xff;
    memcpy(k.ip + 12, &a->in.sin_addr, 4);
    return k;
}

static struct failure *find_set(const struct key *k)
{
    const unsigned char *bytes = (const unsigned char *)k;
    uint32_t hash = 2166136261U; /* FNV-1a */
    size_t i;

    for (i = 0; i < sizeof(*k); i++)
        hash = (hash ^ bytes[i]) * 16777619U;
    return memory.failures[hash % SETS];
}

static struct failure *find_failure(const struct key *k)
{
    struct failure *set = find_set(k);
    int i;

    for (i = 0; i < WAYS; i++)
        if (set[i].used && memcmp(&set[i].key, k, sizeof(*k)) == 0)
            return &set[i];
    return NULL;
}

/* Returns the place of a new failure: one that is not used, or that of the oldest failure. */
static struct failure *find_place(const struct key *k)
{
    struct failure *set = find_set(k), *oldest = set;
    int i;

    for (i = 0; i < WAYS; i++) {
        if (!set[i].used)
            return &set[i];
        if (set[i].at < oldest->at)
            oldest = &set[i];
    }
    return oldest;
}

static void drop_failure(struct failure *f)
{
    f->used = false;
    atomic_fetch_sub(&count, 1);
}

void unreachable_note(const struct addr *a, uint64_t now)
{
    const struct key k = make_key(a);
    struct failure *f;

    pthread_mutex_lock(&memory.lock);
    f = find_failure(&k);
    if (!f)
        f = find_place(&k);
    if (!f->used)
        atomic_fetch_add(&count, 1);
    *f = (struct failure){k, true, now};
    pthread_mutex_unlock(&memory.lock);
}

void unreachable_forget(const struct addr *a)
{
    const struct key k = make_key(a);
    struct failure *f;

    if (atomic_load(&count) == 0)
        return;
    pthread_mutex_lock(&memory.lock);
    f = find_failure(&k);
    if (f)
        drop_failure(f);
    pthread_mutex_unlock(&memory.lock);
}

void unreachable_clear(void)
{
    pthread_mutex_lock(&memory.lock);
    memset(memory.failures, 0, sizeof(memory.failures));
    atomic_store(&count, 0);
    pthread_mutex_unlock(&memory.lock);
}

bool unreachable_has(const struct addr *a, uint64_t now)
{
    const struct key k = make_key(a);
    struct failure *f;
    bool found;

    if (atomic_load(&count) == 0)
        return false;
    pthread_mutex_lock(&memory.lock);
    f = find_failure(&k);
    /* the clock of another loop may be ahead */
    if (f && now > f->at && now - f->at >= UNREACHABLE_MS) {
        drop_failure(f);
        f = NULL;
    }
    found = f != NULL;
    pthread_mutex_unlock(&memory.lock);
    return found;
}
