/*
 * Filters of the first bytes in a tunnel. The first byte of an input selects one. Then come turns: a
 * byte with the direction (its high bit) and a length, and the bytes. However the bytes of a turn
 * are cut into pieces, the result is the same, and not much is added.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/passage.h"

#define TURNS_MAX 64

/* The most that a filter adds: answers, commands, a plugin's name, an error. */
#define ADDED_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct filter_ops *const filters[] = {&filter_postgres, &filter_mysql};

static void need(bool ok)
{
    if (!ok)
        abort();
}

static void check(const struct passage *p, size_t size)
{
    need(p->result != FILTER_FAILED || (p->detail[0] && p->reason != REASON_NONE));
    need(memchr(p->detail, '\0', sizeof(p->detail)));
    need(p->out[FILTER_TO_SERVER].len <= size + ADDED_MAX);
    need(p->out[FILTER_TO_CLIENT].len <= size + ADDED_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct filter_ops *ops;
    struct passage_turn turns[TURNS_MAX];
    struct passage whole, p;
    size_t count = 0, at = 1, first;

    if (size == 0)
        return 0;
    ops = filters[data[0] % (sizeof(filters) / sizeof(filters[0]))];
    for (; at < size && count < TURNS_MAX; count++) {
        const size_t left = size - at - 1, n = data[at] & 0x7f;

        turns[count].way = data[at] & 0x80 ? FILTER_TO_CLIENT : FILTER_TO_SERVER;
        turns[count].bytes = data + at + 1;
        turns[count].n = n < left ? n : left;
        at += 1 + turns[count].n;
    }
    passage_run(&whole, ops, turns, count, 0, size);
    check(&whole, size);
    for (first = 0; first < 128; first++) {
        passage_run(&p, ops, turns, count, first, first == 0 ? 1 : size);
        check(&p, size);
        need(passage_same(&whole, &p));
        passage_free(&p);
    }
    passage_free(&whole);
    return 0;
}
