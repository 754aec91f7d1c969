/*
 * The errors of a configuration. All of them are collected, each with its file and line, so that an
 * administrator can correct them together.
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

/* A zeroed list is empty. */
struct diag_list {
    struct arena arena;
    struct diag *items;
    size_t count;
    void *known; /* a tree of them (tsearch(3)), so that none is added twice */
};

/*
 * Adds an error, unless the list has it. where.line 0: it is one of the whole file. The text is
 * escaped, because it may quote anything from a file.
 */
void diag_add(struct diag_list *p, struct location where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Appends "FILE:LINE: text", or "FILE: text" for the whole file, to out. */
void diag_format(const struct diag *p, struct strbuf *out);

/* Prints each error on a line, sorted by file and line. */
void diag_print(struct diag_list *p, FILE *to);

/* Frees all errors. The list is then empty. */
void diag_free(struct diag_list *p);

#endif
