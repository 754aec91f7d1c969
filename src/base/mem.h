/*
 * Memory.
 *
 * Two idioms, each with its place:
 *  - the x functions, for configuration, start-up and the tool: there is nothing sensible to do
 *    without that memory, so they end the process with a message;
 *  - struct arena, for what is built piece by piece and freed in one go (a configuration).
 * What a peer or a client can make the daemon allocate uses plain malloc() and is checked.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

struct arena_block;

/* Zero-initialised is empty and ready. */
struct arena {
    struct arena_block *blocks; /* newest first */
};

/* Zeroed memory that lives until arena_free(). Aligned for any type. */
void *arena_alloc(struct arena *a, size_t size);
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Returns items, a list in the arena with room for at least one element more than count. The list
 * doubles whenever count is a power of two, so count must be its exact length.
 */
void *arena_grow(struct arena *a, void *items, size_t count, size_t item_size);

void arena_free(struct arena *a);

#endif
