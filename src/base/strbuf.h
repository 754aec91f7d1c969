/*
 * A growable string. Zero-initialised is empty; it is NUL-terminated once anything was added. Text
 * that a peer chose goes through strbuf_add_safe(). If memory is short, the process ends (mem.h).
 */
#ifndef BASE_STRBUF_H
#define BASE_STRBUF_H

#include <stdbool.h>
#include <stddef.h>

struct strbuf {
    char *data; /* NULL while empty */
    size_t len;
    size_t size;
};

void strbuf_add(struct strbuf *b, const char *s);
void strbuf_add_bytes(struct strbuf *b, const char *s, size_t n);
void strbuf_addf(struct strbuf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Adds n bytes of text that a peer chose, cut after max bytes ("..." marks the cut). Control bytes,
 * newlines, invalid UTF-8 and characters that reorder or hide text become \n, \xHH or \u{HHHH}, and
 * a backslash is doubled, so that the original can be reconstructed.
 */
void strbuf_add_safe(struct strbuf *b, const char *s, size_t n, size_t max);

/* Adds the base64 of n bytes, with its padding (RFC 4648 section 4). */
void strbuf_add_base64(struct strbuf *b, const char *bytes, size_t n);

/* Adds a word so that a POSIX shell reads it as one word: plain, or in single quotes. */
void strbuf_add_shell(struct strbuf *b, const char *word);

const char *strbuf_text(const struct strbuf *b); /* "" when empty */
char *strbuf_detach(struct strbuf *b);           /* the caller frees it; b is empty again */
void strbuf_clear(struct strbuf *b);             /* keeps the memory */
void strbuf_free(struct strbuf *b);

/* Returns true if s is valid UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool utf8_valid(const char *s, size_t n);

#endif
