#include "tls/tlsmem.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>

/* Classes have the steps of malloc(): class n has blocks of STEP * n - OVERHEAD bytes. */
#define STEP 16
#define OVERHEAD 8

/* The largest class has 20 KiB; a record buffer has 16.5. */
#define CLASSES ((size_t)20 * 1024 / STEP)
#define BLOCK_SIZE_MAX (STEP * (CLASSES - 1) - OVERHEAD)

struct block {
    struct block *next;
};

/* Blocks that a thread has freed, by class. */
struct freelist {
    struct {
        struct block *first;
        size_t count;
    } classes[CLASSES];
};

static _Thread_local struct freelist *freelist;

void tlsmem_thread_init(void)
{
    if (!freelist)
        freelist = calloc(1, sizeof(*freelist)); /* without it everything goes to malloc() */
}

void tlsmem_thread_exit(void)
{
    struct freelist *s = freelist;
    struct block *b;
    size_t i;

    freelist = NULL;
    for (i = 0; s && i < CLASSES; i++) {
        while ((b = s->classes[i].first)) {
            s->classes[i].first = b->next;
            free(b);
        }
    }
    free(s);
}

void *tlsmem_alloc(size_t size)
{
    struct freelist *s = freelist;
    struct block *b;
    size_t class;

    if (!s || size > BLOCK_SIZE_MAX)
        return malloc(size);
    /* rounded up: every block of the class has room for it */
    class = (size + OVERHEAD + STEP - 1) / STEP;
    if (!s->classes[class].first)
        return malloc(size);
    b = s->classes[class].first;
    s->classes[class].first = b->next;
    s->classes[class].count--;
    return b;
}

void tlsmem_free(void *p)
{
    struct freelist *s = freelist;
    struct block *b = p;
    size_t class;

    if (!p)
        return;
    /* malloc_usable_size(3), rounded down */
    class = s ? (malloc_usable_size(p) + OVERHEAD) / STEP : CLASSES;
    /* at least one block of any size is cached, if it has room for the link */
    if (class == 0 || class >= CLASSES
        || s->classes[class].count * class * STEP > TLSMEM_CACHED_MAX) {
        free(p);
        return;
    }
    if (s->classes[class].first == b)
        abort(); /* freed twice */
    b->next = s->classes[class].first;
    s->classes[class].first = b;
    s->classes[class].count++;
}

void *tlsmem_realloc(void *p, size_t size)
{
    return realloc(p, size);
}

size_t tlsmem_cached(void)
{
    const struct freelist *s = freelist;
    size_t bytes = 0, i;

    for (i = 0; s && i < CLASSES; i++)
        bytes += s->classes[i].count * i * STEP;
    return bytes;
}

/* OpenSSL also passes the place in its sources. */

static void *take(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return tlsmem_alloc(size);
}

static void *resize(void *p, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return tlsmem_realloc(p, size);
}

static void give(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    /*
     * most are NULL: with every record OpenSSL frees the buffers of 32 possible pipelines
     */
    if (p)
        tlsmem_free(p);
}

/* A cache would hide a use after free, and races on freed memory, from the sanitizers. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED true
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED false
#endif

bool tlsmem_install(void)
{
    return !IS_SANITIZED && CRYPTO_set_mem_functions(take, resize, give) == 1;
}
