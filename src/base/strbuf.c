#include "base/strbuf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static void reserve(struct strbuf *b, size_t more)
{
    size_t need = b->len + more + 1;

    if (need <= b->size)
        return;
    b->size = need < 64 ? 64 : need * 2;
    b->data = xrealloc(b->data, b->size);
}

void strbuf_add_bytes(struct strbuf *b, const char *s, size_t n)
{
    reserve(b, n);
    memcpy(b->data + b->len, s, n);
    b->len += n;
    b->data[b->len] = '\0';
}

void strbuf_add(struct strbuf *b, const char *s)
{
    strbuf_add_bytes(b, s, strlen(s));
}

void strbuf_addf(struct strbuf *b, const char *format, ...)
{
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    if (n < 0)
        return;
    reserve(b, (size_t)n);
    va_start(ap, format);
    vsnprintf(b->data + b->len, (size_t)n + 1, format, ap);
    va_end(ap);
    b->len += (size_t)n;
}

/*
 * Decodes the character at s, of which there are n > 0 bytes. Returns its length, or 0 if the bytes
 * are not UTF-8 (RFC 3629 section 4).
 */
static size_t utf8_decode(const unsigned char *s, size_t n, uint32_t *c)
{
    static const uint32_t min[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len, i;

    if (s[0] < 0x80) {
        *c = s[0];
        return 1;
    }
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        len = 2;
    else if (s[0] >= 0xe0 && s[0] <= 0xef)
        len = 3;
    else if (s[0] >= 0xf0 && s[0] <= 0xf4)
        len = 4;
    else
        return 0;
    if (len > n)
        return 0;
    *c = s[0] & (0x7fU >> len);
    for (i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        *c = (*c << 6) | (s[i] & 0x3fU);
    }
    if (*c < min[len] || *c > 0x10ffff || (*c >= 0xd800 && *c <= 0xdfff))
        return 0;
    return len;
}

bool utf8_valid(const char *s, size_t n)
{
    size_t i, len;
    uint32_t c;

    for (i = 0; i < n; i += len) {
        len = utf8_decode((const unsigned char *)s + i, n - i, &c);
        if (len == 0)
            return false;
    }
    return true;
}

/* Returns true for characters that a terminal shows as something else, or not at all. */
static bool is_deceptive(uint32_t c)
{
    return (c >= 0x80 && c <= 0x9f)          /* C1 controls */
           || c == 0xad || c == 0x61c        /* soft hyphen, Arabic letter mark */
           || (c >= 0x200b && c <= 0x200f)   /* zero width, direction marks */
           || (c >= 0x2028 && c <= 0x202e)   /* line separators, bidi embedding */
           || (c >= 0x2060 && c <= 0x206f)   /* invisible operators, bidi isolates */
           || c == 0xfeff                    /* byte order mark */
           || (c >= 0xfff9 && c <= 0xfffb)   /* annotations */
           || (c >= 0xe0000 && c <= 0xe007f) /* tags */
           || (c & 0xfffe) == 0xfffe;        /* noncharacters */
}

void strbuf_add_safe(struct strbuf *b, const char *s, size_t n, size_t max)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t i, len;
    uint32_t c = 0;

    for (i = 0; i < n; i += len ? len : 1) {
        if (i >= max) {
            strbuf_add(b, "...");
            return;
        }
        len = utf8_decode(p + i, n - i, &c);
        if (len == 0)
            strbuf_addf(b, "\\x%02x", p[i]);
        else if (c == '\\')
            strbuf_add(b, "\\\\");
        else if (c == '\n')
            strbuf_add(b, "\\n");
        else if (c < 0x20 || c == 0x7f)
            strbuf_addf(b, "\\x%02x", (unsigned)c);
        else if (is_deceptive(c))
            strbuf_addf(b, "\\u{%x}", (unsigned)c);
        else
            strbuf_add_bytes(b, s + i, len);
    }
}

void strbuf_add_base64(struct strbuf *b, const char *bytes, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t i, j;

    for (i = 0; i < n; i += 3) {
        unsigned group = 0;
        char out[4];

        for (j = 0; j < 3; j++)
            group = group << 8 | (i + j < n ? (unsigned char)bytes[i + j] : 0U);
        for (j = 0; j < 4; j++)
            out[j] = i + j > n ? '=' : digits[group >> (18 - 6 * j) & 63];
        strbuf_add_bytes(b, out, sizeof(out));
    }
}

void strbuf_add_shell(struct strbuf *b, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "%+,-./:=@_";

    if (*word && word[strspn(word, plain)] == '\0') {
        strbuf_add(b, word);
        return;
    }
    strbuf_add(b, "'");
    for (; *word; word++) {
        if (*word == '\'')
            strbuf_add(b, "'\"'\"'"); /* not a backslash, which strbuf_add_safe() doubles */
        else
            strbuf_add_bytes(b, word, 1);
    }
    strbuf_add(b, "'");
}

const char *strbuf_text(const struct strbuf *b)
{
    return b->data ? b->data : "";
}

char *strbuf_detach(struct strbuf *b)
{
    char *s = b->data ? b->data : xstrdup("");

    memset(b, 0, sizeof(*b));
    return s;
}

void strbuf_clear(struct strbuf *b)
{
    b->len = 0;
    if (b->data)
        b->data[0] = '\0';
}

void strbuf_free(struct strbuf *b)
{
    free(b->data);
    memset(b, 0, sizeof(*b));
}
