#include "tls/certcache.h"

#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pin/cert.h"

/* A server shows two or three certificates; a hundred servers are many. */
#define BUCKETS 64
#define PLACES 4 /* in a bucket, the latest used first */

/*
 * In a bucket, as they were sent: one megabyte in all. Parsed, a certificate can take twenty times
 * as much.
 */
#define BUCKET_BYTES_MAX (16 * 1024)

struct hostport {
    X509 *cert; /* a reference; NULL: free */
    uint8_t *der;
    size_t len;
};

struct certcache {
    struct hostport buckets[BUCKETS][PLACES];
};

struct certcache *certcache_new(void)
{
    return calloc(1, sizeof(struct certcache));
}

static void clear(struct hostport *p)
{
    X509_free(p->cert);
    OPENSSL_free(p->der);
    memset(p, 0, sizeof(*p));
}

void certcache_free(struct certcache *f)
{
    size_t i, j;

    for (i = 0; f && i < BUCKETS; i++)
        for (j = 0; j < PLACES; j++)
            clear(&f->buckets[i][j]);
    free(f);
}

/* Where a certificate belongs: the end of a signature is as good as random. */
static struct hostport *bucket_of(struct certcache *f, const uint8_t *der, size_t len)
{
    return f->buckets[(der[len - 1] ^ der[len / 2]) % BUCKETS];
}

/* The copy, moved to the front; or NULL. */
static X509 *find(struct hostport *bucket, const uint8_t *der, size_t len)
{
    struct hostport found;
    size_t i;

    for (i = 0; i < PLACES; i++)
        if (bucket[i].cert && bucket[i].len == len && memcmp(bucket[i].der, der, len) == 0)
            break;
    if (i == PLACES)
        return NULL;
    found = bucket[i];
    memmove(bucket + 1, bucket, i * sizeof(*bucket));
    bucket[0] = found;
    return found.cert;
}

/* The certificate as it was sent, to be freed; or 0. */
static size_t encode(X509 *cert, uint8_t **der)
{
    int len;

    *der = NULL;
    len = i2d_X509(cert, der);
    return len > 0 ? (size_t)len : 0;
}

void certcache_share(struct certcache *f, STACK_OF(X509) *certs)
{
    int i;

    for (i = 0; i < sk_X509_num(certs); i++) {
        X509 *cert = sk_X509_value(certs, i), *shared;
        uint8_t *der;
        const size_t len = encode(cert, &der);

        shared = len ? find(bucket_of(f, der, len), der, len) : NULL;
        OPENSSL_free(der);
        if (!shared || shared == cert || X509_up_ref(shared) != 1)
            continue;
        (void)sk_X509_set(certs, i, shared);
        X509_free(cert);
    }
}

/* Drops what was used longest ago until there is a place, and room for so many bytes. */
static void make_room(struct hostport *bucket, size_t len)
{
    size_t bytes = len, i;

    for (i = 0; i < PLACES; i++) {
        bytes += bucket[i].len;
        if (i == PLACES - 1 || bytes > BUCKET_BYTES_MAX)
            clear(&bucket[i]);
    }
}

void certcache_add(struct certcache *f, X509 *cert)
{
    struct hostport *bucket;
    uint8_t *der;
    size_t len = encode(cert, &der);

    bucket = len ? bucket_of(f, der, len) : NULL;
    if (!bucket || len > BUCKET_BYTES_MAX || find(bucket, der, len) || X509_up_ref(cert) != 1) {
        OPENSSL_free(der);
        return;
    }
    cert_remember(cert);
    make_room(bucket, len);
    memmove(bucket + 1, bucket, (PLACES - 1) * sizeof(*bucket));
    bucket[0] = (struct hostport){.cert = cert, .der = der, .len = len};
}

static bool is_in(const STACK_OF(X509) *chain, const X509 *cert)
{
    int i;

    for (i = 0; i < sk_X509_num(chain); i++)
        if (X509_cmp(sk_X509_value(chain, i), cert) == 0)
            return true;
    return false;
}

void certcache_add_chain(struct certcache *f, const STACK_OF(X509) *sent,
                         const STACK_OF(X509) *verified)
{
    int i;

    for (i = 0; i < sk_X509_num(sent); i++)
        if (i == 0 || is_in(verified, sk_X509_value(sent, i)))
            certcache_add(f, sk_X509_value(sent, i));
}

size_t certcache_count(const struct certcache *f)
{
    size_t n = 0, i, j;

    for (i = 0; i < BUCKETS; i++)
        for (j = 0; j < PLACES; j++)
            n += f->buckets[i][j].cert != NULL;
    return n;
}

size_t certcache_bytes(const struct certcache *f)
{
    size_t n = 0, i, j;

    for (i = 0; i < BUCKETS; i++)
        for (j = 0; j < PLACES; j++)
            n += f->buckets[i][j].len;
    return n;
}
