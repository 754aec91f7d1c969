/*
 * Heads of responses. However a response is cut into pieces, the result is the same; what is taken
 * for a head reads again as one, from its own bytes alone, and its fields are well formed.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "http/response.h"

/* Beyond that, not every piece is tried. */
#define PIECES 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct answer {
    enum http_result result;
    const char *why;
    size_t consumed, fields_at, fields_len;
    int status, version;
};

static void need(bool ok)
{
    if (!ok)
        abort();
}

/* Every line is one field, which is found by its name unless one before it has the same. */
static void check_fields(const struct http_response *r)
{
    const char *at = r->fields.bytes, *end = at + r->fields.len;

    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at)), *colon;
        struct http_text value;
        struct strbuf name = {0};
        size_t i;

        need(newline != NULL);
        colon = memchr(at, ':', (size_t)(newline - at));
        need(colon && colon > at);
        strbuf_add_bytes(&name, at, (size_t)(colon - at));
        need(!strpbrk(strbuf_text(&name), " \t\r") && strlen(name.data) == name.len);
        need(http_response_find_field(r, name.data, &value));
        need(value.bytes > r->fields.bytes && value.bytes + value.len <= end);
        for (i = 0; i < value.len; i++)
            need(value.bytes[i] != '\r' && value.bytes[i] != '\n' && value.bytes[i]);
        strbuf_free(&name);
        at = newline + 1;
    }
}

/* Parses a copy of exactly that size, so that a sanitizer sees one byte too far. */
static struct answer parse(const char *bytes, size_t n)
{
    struct http_response r;
    struct answer a = {0};
    char *copy = malloc(n ? n : 1);

    need(copy != NULL);
    if (n)
        memcpy(copy, bytes, n);
    a.result = http_response_parse(copy, n, &r, &a.consumed, &a.why);
    if (a.result == HTTP_HEAD) {
        need(a.consumed <= n && a.consumed <= HTTP_HEAD_MAX);
        need(r.status >= 200 && r.status <= 599 && (r.version == 10 || r.version == 11));
        need(r.fields.bytes > copy && r.fields.bytes + r.fields.len < copy + a.consumed);
        check_fields(&r);
        a.status = r.status;
        a.version = r.version;
        a.fields_at = (size_t)(r.fields.bytes - copy);
        a.fields_len = r.fields.len;
    }
    need(a.result != HTTP_BAD || (a.why && *a.why));
    need(a.result != HTTP_MORE || n < HTTP_HEAD_MAX);
    free(copy);
    return a;
}

static bool is_same(const struct answer *a, const struct answer *b)
{
    if (a->result != b->result)
        return false;
    if (a->result == HTTP_BAD)
        return strcmp(a->why, b->why) == 0;
    return a->consumed == b->consumed && a->status == b->status && a->version == b->version
           && a->fields_at == b->fields_at && a->fields_len == b->fields_len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    const struct answer whole = parse(bytes, size);
    const size_t step = size / PIECES + 1;
    bool decided = false;
    size_t n;

    for (n = 0; n <= size; n += step) {
        const struct answer a = parse(bytes, n);

        need(!decided || a.result != HTTP_MORE);
        decided = a.result != HTTP_MORE;
        need(!decided || is_same(&a, &whole));
    }
    if (whole.result == HTTP_HEAD) {
        const struct answer alone = parse(bytes, whole.consumed);

        need(is_same(&alone, &whole));
    }
    return 0;
}
