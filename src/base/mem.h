/*
 * Memory.
 *
 * There are two idioms, which end the process with a message if memory is short:
 *  - the x functions, for configuration, start, the tool, and strings (strbuf.h);
 *  - struct arena, for what is built in pieces and freed at once, such as a configuration.
 *
 * A string that a peer fills has a limit: 1 KiB for a field of a log line, HTTP_HEAD_MAX for a
 * response, and 64 KiB for the certificates of a handshake, which the names in them are part of.
 * The file of learned pins has a limit too. The memory of a connection, which a peer or a client
 * can make the daemon allocate, comes from malloc(), and the result is checked.
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

/*
 * Return memory that lives until arena_free(). arena_alloc() zeroes it and aligns it for any type.
 */
void *arena_alloc(struct arena *a, size_t size);
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Returns the list items with room for one element more than count, at the same address or at a new
 * one. count must be the exact length of the list, because its size doubles when count is a power
 * of two. A new element is zeroed.
 */
void *arena_grow(struct arena *a, void *items, size_t count, size_t item_size);

void arena_free(struct arena *a);

#endif
