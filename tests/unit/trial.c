#include "trial.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void *copy(const void *bytes, size_t n)
{
    void *out = malloc(n ? n : 1);

    if (!out)
        abort();
    if (n)
        memcpy(out, bytes, n);
    return out;
}

/* One call, with all bytes that have come and were not used. */
static void feed(struct trial *t, const struct dialog_ops *ops,
                 const struct config_section *section, void *state, const uint8_t *bytes,
                 size_t received)
{
    uint8_t *in = copy(bytes + t->used, received - t->used);
    struct dialog_io io = {.section = section,
                           .in = in,
                           .in_len = received - t->used,
                           .out = &t->out,
                           .greeting = &t->greeting,
                           .detail = t->detail};

    t->result = ops->run(state, &io);
    if (io.used > io.in_len)
        abort();
    t->used += io.used;
    free(in);
}

void trial_run(struct trial *t, const struct dialog_ops *ops, const struct config_section *section,
               const void *bytes, size_t n, size_t first, size_t size)
{
    void *state = calloc(1, ops->size ? ops->size : 1);
    size_t received = 0, piece = first;

    if (!state || (size == 0 && first < n))
        abort();
    memset(t, 0, sizeof(*t));
    feed(t, ops, section, state, bytes, 0);
    for (; t->result == DIALOG_MORE && received < n; piece = size) {
        received += piece < n - received ? piece : n - received;
        feed(t, ops, section, state, bytes, received);
    }
    free(state);
}

void trial_free(struct trial *t)
{
    strbuf_free(&t->out);
    strbuf_free(&t->greeting);
}

static bool is_same_text(const struct strbuf *a, const struct strbuf *b)
{
    return a->len == b->len && memcmp(strbuf_text(a), strbuf_text(b), a->len) == 0;
}

bool trial_same(const struct trial *a, const struct trial *b)
{
    if (a->result != b->result || !is_same_text(&a->out, &b->out))
        return false;
    if (a->result == DIALOG_FAILED || a->result == DIALOG_REFUSED)
        return strcmp(a->detail, b->detail) == 0;
    return a->used == b->used && is_same_text(&a->greeting, &b->greeting);
}
