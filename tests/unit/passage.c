#include "passage.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_output(struct passage *p, const struct filter *f, enum filter_way way)
{
    size_t n;
    const uint8_t *bytes = filter_output(f, way, &n);

    if (n > 0)
        strbuf_add_bytes(&p->out[way], (const char *)bytes, n);
}

/* One call. n = 0 is the end of the direction. */
static void feed(struct passage *p, struct filter *f, enum filter_way way, const uint8_t *bytes,
                 size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    const char *detail;

    if (!copy)
        abort();
    if (n > 0)
        memcpy(copy, bytes, n);
    p->result = filter_feed(f, way, copy, n);
    free(copy);
    add_output(p, f, FILTER_TO_CLIENT);
    if (p->result == FILTER_FAILED) {
        p->reason = filter_failure(f, &detail);
        snprintf(p->detail, sizeof(p->detail), "%s", detail);
    } else {
        add_output(p, f, FILTER_TO_SERVER);
    }
}

static void take_turn(struct passage *p, struct filter *f, const struct passage_turn *t,
                      size_t first, size_t size)
{
    const uint8_t *bytes = t->bytes;
    size_t at = 0, piece = first ? first : size;

    for (; p->result == FILTER_MORE && at < t->n; piece = size) {
        if (piece > t->n - at)
            piece = t->n - at;
        feed(p, f, t->way, bytes + at, piece);
        at += piece;
    }
    if (p->result == FILTER_DONE && at < t->n)
        strbuf_add_bytes(&p->out[t->way], (const char *)bytes + at, t->n - at);
}

void passage_run(struct passage *p, const struct filter_ops *ops, const struct passage_turn *turns,
                 size_t count, size_t first, size_t size)
{
    struct filter *f = filter_new(ops);
    size_t i;

    if (!f || size == 0)
        abort();
    memset(p, 0, sizeof(*p));
    p->reason = REASON_NONE;
    p->result = FILTER_MORE;
    for (i = 0; i < count && p->result != FILTER_FAILED; i++)
        take_turn(p, f, &turns[i], first, size);
    if (p->result == FILTER_MORE)
        feed(p, f, FILTER_TO_SERVER, NULL, 0);
    if (p->result == FILTER_MORE)
        feed(p, f, FILTER_TO_CLIENT, NULL, 0);
    filter_free(f);
}

void passage_free(struct passage *p)
{
    strbuf_free(&p->out[FILTER_TO_SERVER]);
    strbuf_free(&p->out[FILTER_TO_CLIENT]);
}

static bool is_same_text(const struct strbuf *a, const struct strbuf *b)
{
    return a->len == b->len && memcmp(strbuf_text(a), strbuf_text(b), a->len) == 0;
}

bool passage_same(const struct passage *a, const struct passage *b)
{
    return a->result == b->result && a->reason == b->reason && strcmp(a->detail, b->detail) == 0
           && is_same_text(&a->out[FILTER_TO_CLIENT], &b->out[FILTER_TO_CLIENT])
           && (a->result == FILTER_FAILED
               || is_same_text(&a->out[FILTER_TO_SERVER], &b->out[FILTER_TO_SERVER]));
}
