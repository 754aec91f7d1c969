/*
 * Reads one INI file into a list of entries, each with its line. Only this module uses inih.
 *
 * inih cuts a section name at 49 bytes and a line at 199, reports only the first line that it
 * cannot read, and does not report a section without options. So each line is checked before inih
 * gets it. A line that would be cut or dropped is an error, and never a value.
 */
#ifndef CONFIG_INIFILE_H
#define CONFIG_INIFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/file.h"
#include "config/diag.h"

/* The longest section name in bytes: MAX_SECTION of inih's ini.c, without the NUL. */
#define INIFILE_SECTION_MAX 49

struct inifile_entry {
    struct location where;
    const char *section;
    const char *key; /* NULL: the section's header */
    const char *value;
    const char *comment; /* after the value, with its ';'; or NULL */
    bool continued;      /* an indented line: one more value of the option above it */
};

struct inifile {
    struct inifile_entry *entries;
    size_t count;
};

/*
 * Reads a file. Entries and texts are in the arena. An error is added to diags, and the rest of the
 * file is still read. origin: see file_read(). Source: https://github.com/benhoyt/inih, ini.c.
 */
void inifile_read(const char *path, enum file_origin origin, struct arena *arena,
                  struct inifile *out, struct diag_list *diags);

/* The same from len bytes of text. path is for messages only. */
void inifile_parse(const char *path, const char *text, size_t len, struct arena *arena,
                   struct inifile *out, struct diag_list *diags);

#endif
