#include "base/mem.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE ((size_t)16 * 1024)

struct arena_block {
    struct arena_block *next;
    size_t used;
    size_t size;
    alignas(max_align_t) unsigned char bytes[];
};

static void *out_of_memory(void)
{
    fputs("pinproxy: out of memory\n", stderr);
    exit(1);
}

void *xmalloc(size_t size)
{
    void *p = malloc(size ? size : 1);

    return p ? p : out_of_memory();
}

void *xcalloc(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size ? size : 1);

    return p ? p : out_of_memory();
}

void *xrealloc(void *p, size_t size)
{
    void *q = realloc(p, size ? size : 1);

    return q ? q : out_of_memory();
}

char *xstrdup(const char *s)
{
    return xstrndup(s, strlen(s));
}

char *xstrndup(const char *s, size_t n)
{
    char *copy = xmalloc(n + 1);

    if (n) /* s may be NULL if n is 0, which memcpy() does not permit */
        memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

char *xasprintf(const char *format, ...)
{
    va_list ap;
    char *s;

    va_start(ap, format);
    if (vasprintf(&s, format, ap) < 0)
        out_of_memory();
    va_end(ap);
    return s;
}

void *arena_alloc(struct arena *a, size_t size)
{
    const size_t align = alignof(max_align_t);
    struct arena_block *b = a->blocks;
    void *p;

    if (size > SIZE_MAX / 2)
        out_of_memory();
    size = (size + align - 1) / align * align;
    if (!b || b->size - b->used < size) {
        size_t want = size > BLOCK_SIZE ? size : BLOCK_SIZE;

        b = xcalloc(1, sizeof(*b) + want);
        b->size = want;
        b->next = a->blocks;
        a->blocks = b;
    }
    p = b->bytes + b->used;
    b->used += size;
    return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    char *copy = arena_alloc(a, n + 1);

    memcpy(copy, s, n);
    return copy;
}

char *arena_printf(struct arena *a, const char *format, ...)
{
    va_list ap;
    char *s, *copy;

    va_start(ap, format);
    if (vasprintf(&s, format, ap) < 0)
        out_of_memory();
    va_end(ap);
    copy = arena_strdup(a, s);
    free(s);
    return copy;
}

void *arena_grow(struct arena *a, void *items, size_t count, size_t item_size)
{
    void *grown;

    if (count != 0 && (count & (count - 1)) != 0)
        return items;
    grown = arena_alloc(a, (count ? count * 2 : 1) * item_size);
    if (count)
        memcpy(grown, items, count * item_size);
    return grown;
}

void arena_free(struct arena *a)
{
    struct arena_block *b, *next;

    for (b = a->blocks; b; b = next) {
        next = b->next;
        free(b);
    }
    a->blocks = NULL;
}
