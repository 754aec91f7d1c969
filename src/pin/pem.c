#include "pin/pem.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

#define BEGIN "-----BEGIN"
#define END "-----END"
#define DASHES "-----"

/* A run of base64 of this length that begins like DER is not a comment. */
#define STRAY_MIN 60

static const char stray[] = "base64 outside of a PEM block: its BEGIN line is missing or damaged";
static const char damaged[] = "this PEM block is damaged: it contains more than lines of base64";

struct pem_line {
    const char *text;
    size_t len; /* without its end, and without white space before that */
};

/* A block while its base64 is decoded. */
struct pem_decoder {
    unsigned char *out;
    size_t len;
    size_t size; /* of out */
    uint32_t bits;
    unsigned count;   /* the number of characters in bits, with padding */
    unsigned padding; /* the number of '=' seen, after which nothing may follow */
};

static bool starts_with(const struct pem_line *l, const char *prefix)
{
    return l->len >= strlen(prefix) && memcmp(l->text, prefix, strlen(prefix)) == 0;
}

/* Lines end with LF, CR LF or CR; a byte order mark may begin one, where files were joined. */
static bool read_line(struct pem_reader *r, struct pem_line *l)
{
    const char *p = r->next;

    if (p == r->end)
        return false;
    while (p < r->end && *p != '\n' && *p != '\r')
        p++;
    *l = (struct pem_line){r->next, (size_t)(p - r->next)};
    if (p < r->end)
        p += p[0] == '\r' && p + 1 < r->end && p[1] == '\n' ? 2 : 1;
    r->next = p;
    r->line++;
    if (starts_with(l, "\xef\xbb\xbf")) {
        l->text += 3;
        l->len -= 3;
    }
    while (l->len && isspace((unsigned char)l->text[l->len - 1]))
        l->len--;
    return true;
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool contains(const struct pem_line *l, const char *word)
{
    const size_t n = strlen(word);
    size_t i;

    for (i = 0; i + n <= l->len; i++)
        if (strncasecmp(l->text + i, word, n) == 0)
            return true;
    return false;
}

/* Returns whether the line may be the first of a block that has lost its BEGIN line. */
static bool holds_stray_base64(const struct pem_line *l)
{
    size_t i, run = 0;

    for (i = 0; i <= l->len; i++) {
        if (i < l->len && value_of(l->text[i]) >= 0) {
            run++;
            continue;
        }
        /* 30 81 or 30 82: a SEQUENCE of more than 127 bytes */
        if (run >= STRAY_MIN && memcmp(l->text + i - run, "MI", 2) == 0)
            return true;
        run = 0;
    }
    return false;
}

/* Checks a line outside of blocks: no other program may read it as a part of a block. */
static const char *check_text(const struct pem_line *l)
{
    if (memchr(l->text, '\0', l->len))
        return "a NUL byte: the file is not text, or it is UTF-16: save it as UTF-8";
    if (!memmem(l->text, l->len, DASHES, strlen(DASHES)))
        return holds_stray_base64(l) ? stray : NULL;
    if (contains(l, BEGIN))
        return "a PEM block that does not begin its line: remove the text before '-----BEGIN', and "
               "spaces too, or remove the block";
    if (contains(l, END))
        return "an END line without its BEGIN line: this PEM block is damaged";
    return holds_stray_base64(l) ? stray : NULL;
}

/* Reads the label of "-----BEGIN LABEL-----". Nothing may follow on the line. */
static bool read_label(const struct pem_line *l, char label[PEM_LABEL_SIZE])
{
    const size_t before = strlen(BEGIN " "), after = strlen(DASHES);
    size_t n;

    if (!starts_with(l, BEGIN " ") || l->len <= before + after)
        return false;
    n = l->len - before - after;
    if (n >= PEM_LABEL_SIZE || memcmp(l->text + before + n, DASHES, after) != 0
        || memchr(l->text + before, '\0', n) || memmem(l->text + before, n, "--", 2))
        return false;
    memcpy(label, l->text + before, n);
    label[n] = '\0';
    return true;
}

static bool is_end_of(const struct pem_line *l, const char *label)
{
    const size_t n = strlen(label), before = strlen(END " "), after = strlen(DASHES);

    return l->len == before + n + after && starts_with(l, END " ")
           && memcmp(l->text + before, label, n) == 0
           && memcmp(l->text + before + n, DASHES, after) == 0;
}

static bool decode(struct pem_decoder *d, const struct pem_line *l)
{
    size_t i;

    for (i = 0; i < l->len; i++) {
        const bool padding = l->text[i] == '=';
        const int value = padding ? 0 : value_of(l->text[i]);

        if (value < 0 || (padding ? d->count < 2 : d->padding > 0))
            return false;
        d->padding += padding;
        d->bits = d->bits << 6 | (uint32_t)value;
        if (++d->count < 4)
            continue;
        if (d->size - d->len < 3)
            return false;
        d->out[d->len++] = (unsigned char)(d->bits >> 16);
        d->out[d->len++] = (unsigned char)(d->bits >> 8);
        d->out[d->len++] = (unsigned char)d->bits;
        d->len -= d->padding;
        d->count = 0;
    }
    return true;
}

/* Skips a header (RFC 1421), up to the empty line after it. l is its first line. */
static bool skip_header(struct pem_reader *r, struct pem_block *block, struct pem_line l)
{
    while (l.len > 0) {
        if (starts_with(&l, DASHES))
            return false;
        block->encrypted = block->encrypted || contains(&l, "ENCRYPTED");
        if (!read_line(r, &l))
            return false;
    }
    return true;
}

/* Reads the lines after the BEGIN line, up to the END line. */
static const char *read_body(struct pem_reader *r, struct pem_block *block, struct pem_decoder *d)
{
    bool first = true;
    struct pem_line l;

    while (read_line(r, &l)) {
        if (is_end_of(&l, block->label))
            return d->count == 0 && d->len > 0 ? NULL : damaged;
        if (first && l.len > 0 && memchr(l.text, ':', l.len)) {
            if (!skip_header(r, block, l))
                return damaged;
        } else if (starts_with(&l, DASHES)) {
            break;
        } else if (!decode(d, &l)) {
            return damaged;
        }
        first = first && l.len == 0;
    }
    r->line = block->line;
    return "the PEM block that begins here has no END line: it is cut short or damaged";
}

static const char *read_block(struct pem_reader *r, const struct pem_line *begin,
                              struct pem_block *block)
{
    const char *last = memmem(r->next, (size_t)(r->end - r->next), END, strlen(END));
    struct pem_decoder d = {0};
    const char *why;

    if (!read_label(begin, block->label))
        return "a BEGIN line must be '-----BEGIN LABEL-----', with no text after it";
    block->line = r->line;
    d.size = ((size_t)((last ? last : r->end) - r->next) / 4 + 1) * 3;
    d.out = xmalloc(d.size);
    why = read_body(r, block, &d);
    block->der = d.out;
    block->len = d.len;
    if (why)
        pem_block_free(block);
    return why;
}

bool pem_is_text(const char *data, size_t len)
{
    return memmem(data, len, BEGIN, strlen(BEGIN)) != NULL;
}

void pem_start(struct pem_reader *r, const char *data, size_t len)
{
    *r = (struct pem_reader){.next = data, .end = data + len};
}

const char *pem_next(struct pem_reader *r, struct pem_block *block)
{
    const char *why = NULL;
    struct pem_line l;

    memset(block, 0, sizeof(*block));
    while (!why && read_line(r, &l)) {
        if (starts_with(&l, BEGIN))
            return read_block(r, &l, block);
        why = check_text(&l);
    }
    return why;
}

void pem_block_free(struct pem_block *block)
{
    if (block->der)
        explicit_bzero(block->der, block->len);
    free(block->der);
    block->der = NULL;
    block->len = 0;
}
