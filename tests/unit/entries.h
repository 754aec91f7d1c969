/* INI files from texts, for tests of how they are read. */
#ifndef UNIT_ENTRIES_H
#define UNIT_ENTRIES_H

#include "config/inifile.h"

struct entries {
    struct arena arena;
    struct inifile file;
    struct diag_list diags;
};

/* Reads a text that is called x.conf; entries_done() frees what it makes. */
void entries_parse(struct entries *r, const char *text, size_t n);
void entries_done(struct entries *r);

/*
 * Returns "1[s] 2k=v 3k+=v": each entry with its line, a '+' for one that continues. The caller
 * frees it.
 */
char *entries_outline(const struct inifile *f);

#endif
