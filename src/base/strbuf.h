/*
 * A growable string: messages, log lines, tables. Always NUL-terminated once anything was added;
 * zero-initialised is empty. Text that a peer chose goes through strbuf_add_safe().
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
 * Adds text that a peer chose, at most `most` bytes of it ("..." marks a cut), so that no control
 * byte, newline, invalid UTF-8 or character that reorders or hides text is left in it: those become
 * \n, \xHH or \u{HHHH}, and a backslash is doubled, so that the original can be told.
 */
void strbuf_add_safe(struct strbuf *b, const char *s, size_t n, size_t max);

/* Adds a word as a POSIX shell reads it back: as it is, or between single quotes. */
void strbuf_add_shell(struct strbuf *b, const char *word);

const char *strbuf_text(const struct strbuf *b); /* "" when empty */
char *strbuf_detach(struct strbuf *b);           /* the caller frees it; b is empty again */
void strbuf_clear(struct strbuf *b);             /* keeps the memory */
void strbuf_free(struct strbuf *b);

/* True if s is whole, valid UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool utf8_valid(const char *s, size_t n);

#endif
