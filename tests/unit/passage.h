/*
 * One run of a filter over what both sides send, in pieces of any size. Unit tests and the fuzzer
 * compare runs: however the bytes come, the result is the same. No cmocka: the fuzzer has none.
 */
#ifndef UNIT_PASSAGE_H
#define UNIT_PASSAGE_H

#include <stdbool.h>

#include "filter/filter.h"

/* What one side sends before the other does. */
struct passage_turn {
    enum filter_way way;
    const void *bytes;
    size_t n;
};

struct passage {
    enum filter_result result;
    struct strbuf out[2]; /* all that was sent, by enum filter_way */
    enum reason reason;   /* of a failure */
    char detail[FILTER_DETAIL_SIZE];
};

/*
 * Runs a filter over turns, and then over the end of both directions: in each turn a piece of
 * `first` bytes, then pieces of `size` bytes. Every call gets a copy of exactly its bytes. After
 * FILTER_DONE all bytes pass, as in a tunnel. The caller frees *p with passage_free().
 */
void passage_run(struct passage *p, const struct filter_ops *ops, const struct passage_turn *turns,
                 size_t count, size_t first, size_t size);

void passage_free(struct passage *p);

/* Returns true if two runs over the same turns have come to the same. */
bool passage_same(const struct passage *a, const struct passage *b);

#endif
