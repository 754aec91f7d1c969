/*
 * What is wrong with a configuration: every problem, with file and line, so that an administrator
 * mends them all in one go.
 */
#ifndef CONFIG_DIAG_H
#define CONFIG_DIAG_H

#include <stddef.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/strbuf.h"

/* A place in a configuration. The file name belongs to the configuration. */
struct location {
    const char *file;
    unsigned line;
};

struct diag {
    const char *file;
    unsigned line;
    size_t order;
    const char *text;
};

/* Zero-initialised is empty. */
struct diag_list {
    struct arena arena;
    struct diag *items;
    size_t count;
    void *known; /* tsearch(3): the same ones, to say none of them twice */
};

/* line 0: the whole file. */
void diag_add(struct diag_list *p, struct location where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "FILE:LINE: text", or "FILE: text" for a whole file. */
void diag_format(const struct diag *p, struct strbuf *out);

/* One such line for each problem; those of one file together, by line. */
void diag_print(struct diag_list *p, FILE *to);

void diag_free(struct diag_list *p);

#endif
