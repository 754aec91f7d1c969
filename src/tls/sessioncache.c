#include "tls/sessioncache.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "config/section.h"

/* Sessions in all, and of one section. */
#define SESSIONS_MAX 1024
#define SESSIONS_OF_ONE 32

/* Their sizes, likewise: see size_of(). A server may send tickets of 64 KiB. */
#define SIZE_MAX_ALL ((size_t)8 * 1024 * 1024)
#define SIZE_MAX_OF_ONE ((size_t)512 * 1024)

/* What OpenSSL and an entry take for a session, besides what the server has sent. */
#define SIZE_BASE 4096

#define LIFETIME 3600

#define BUCKETS 256

/* A section's name, as inih has it; a longer one is merely swept too early. */
#define SECTION_SIZE 64

struct entry {
    char section[SECTION_SIZE];
    uint8_t policy_id[POLICY_ID_SIZE];
    struct sessioncache_item session;
    size_t size;
    TAILQ_ENTRY(entry) of_bucket; /* newest first */
    TAILQ_ENTRY(entry) of_all;    /* likewise */
};

TAILQ_HEAD(entries, entry);

struct sessioncache {
    struct entries buckets[BUCKETS];
    struct entries all;
    size_t count;
    size_t size;
};

struct sessioncache *sessioncache_new(void)
{
    struct sessioncache *c = calloc(1, sizeof(*c));
    size_t i;

    if (!c)
        return NULL;
    TAILQ_INIT(&c->all);
    for (i = 0; i < BUCKETS; i++)
        TAILQ_INIT(&c->buckets[i]);
    return c;
}

void sessioncache_item_clear(struct sessioncache_item *s)
{
    SSL_SESSION_free(s->tls);
    sk_X509_pop_free(s->chain, X509_free);
    free(s->staple);
    memset(s, 0, sizeof(*s));
}

/* The id is a hash already. */
static struct entries *bucket_of(struct sessioncache *c, const uint8_t *policy_id)
{
    return &c->buckets[policy_id[0] % BUCKETS];
}

static void drop(struct sessioncache *c, struct entry *e)
{
    TAILQ_REMOVE(bucket_of(c, e->policy_id), e, of_bucket);
    TAILQ_REMOVE(&c->all, e, of_all);
    c->count--;
    c->size -= e->size;
    sessioncache_item_clear(&e->session);
    free(e);
}

void sessioncache_free(struct sessioncache *c)
{
    struct entry *e;

    if (!c)
        return;
    while ((e = TAILQ_FIRST(&c->all)))
        drop(c, e);
    free(c);
}

/*
 * The size of a session: what the server has sent for it, the certificates among it, and a fixed
 * part.
 */
static size_t size_of(const struct sessioncache_item *s)
{
    const unsigned char *ticket;
    size_t size = 0;
    int i, len;

    SSL_SESSION_get0_ticket(s->tls, &ticket, &size);
    for (i = 0; i < sk_X509_num(s->chain); i++) {
        len = i2d_X509(sk_X509_value(s->chain, i), NULL);
        size += len > 0 ? (size_t)len : 0;
    }
    return SIZE_BASE + size + s->staple_len;
}

/* Returns the oldest session of a section if there is no room for one more, else NULL. */
static struct entry *find_excess(struct sessioncache *c, const uint8_t *policy_id, size_t size)
{
    struct entry *e, *oldest = NULL;
    size_t n = 0;

    TAILQ_FOREACH (e, bucket_of(c, policy_id), of_bucket) {
        if (memcmp(e->policy_id, policy_id, POLICY_ID_SIZE) != 0)
            continue;
        oldest = e;
        n++;
        size += e->size;
    }
    return n >= SESSIONS_OF_ONE || size > SIZE_MAX_OF_ONE ? oldest : NULL;
}

/* Drops the oldest of a section that has many, so that a busy one does not push out all others. */
static void make_room(struct sessioncache *c, const uint8_t *policy_id, size_t size)
{
    struct entry *e;

    while ((e = find_excess(c, policy_id, size)))
        drop(c, e);
    while (c->count >= SESSIONS_MAX || c->size + size > SIZE_MAX_ALL)
        drop(c, TAILQ_LAST(&c->all, entries));
}

void sessioncache_put(struct sessioncache *c, const struct policy *policy,
                      struct sessioncache_item *s)
{
    const uint8_t *policy_id = policy->id;
    const size_t size = size_of(s);
    struct entry *e = size <= SIZE_MAX_OF_ONE ? calloc(1, sizeof(*e)) : NULL;

    if (!e) {
        sessioncache_item_clear(s);
        return;
    }
    make_room(c, policy_id, size);
    strncpy(e->section, policy->section->name, sizeof(e->section) - 1);
    memcpy(e->policy_id, policy_id, POLICY_ID_SIZE);
    e->session = *s;
    e->size = size;
    memset(s, 0, sizeof(*s));
    TAILQ_INSERT_HEAD(bucket_of(c, policy_id), e, of_bucket);
    TAILQ_INSERT_HEAD(&c->all, e, of_all);
    c->count++;
    c->size += size;
}

size_t sessioncache_size(const struct sessioncache *c)
{
    return c->size;
}

/* A clock that was set back makes a session no younger. */
static bool is_usable(const struct sessioncache_item *s, int64_t now)
{
    return now >= s->established && now - s->established < LIFETIME
           && SSL_SESSION_is_resumable(s->tls);
}

bool sessioncache_take(struct sessioncache *c, const struct policy *policy, int64_t now,
                       struct sessioncache_item *out)
{
    const uint8_t *policy_id = policy->id;
    struct entry *e, *next;

    for (e = TAILQ_FIRST(bucket_of(c, policy_id)); e; e = next) {
        next = TAILQ_NEXT(e, of_bucket);
        if (memcmp(e->policy_id, policy_id, POLICY_ID_SIZE) != 0)
            continue;
        if (is_usable(&e->session, now)) {
            *out = e->session;
            memset(&e->session, 0, sizeof(e->session));
            drop(c, e);
            return true;
        }
        drop(c, e);
    }
    return false;
}

void sessioncache_sweep(struct sessioncache *c,
                        bool is_current(const char *section, const uint8_t *policy_id,
                                        const void *arg),
                        const void *arg)
{
    struct entry *e, *next;

    for (e = TAILQ_FIRST(&c->all); e; e = next) {
        next = TAILQ_NEXT(e, of_all);
        if (!is_current(e->section, e->policy_id, arg))
            drop(c, e);
    }
}
