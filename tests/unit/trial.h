/*
 * One run of a dialog over the bytes of a server, in pieces of any size. Unit tests and the fuzzer
 * compare runs: however the bytes come, the result is the same. No cmocka: the fuzzer has none.
 */
#ifndef UNIT_TRIAL_H
#define UNIT_TRIAL_H

#include <stdbool.h>

#include "dialog/dialog.h"

struct trial {
    enum dialog_result result;
    size_t used;            /* of all bytes, when it ended */
    struct strbuf out;      /* all that was sent */
    struct strbuf greeting; /* what the client gets first */
    char detail[DIALOG_DETAIL_SIZE];
};

/*
 * Runs a dialog over n bytes: a piece of `first` bytes, then pieces of `size` bytes. Every call gets
 * a copy of exactly its bytes, and the state is of exactly its size, so that a sanitizer sees one
 * byte too far. The caller frees *t with trial_free().
 */
void trial_run(struct trial *t, const struct dialog_ops *ops, const struct config_section *section,
               const void *bytes, size_t n, size_t first, size_t size);

void trial_free(struct trial *t);

/* Returns true if two runs over the same bytes have come to the same. */
bool trial_same(const struct trial *a, const struct trial *b);

#endif
