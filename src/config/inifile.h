/*
 * One INI file as a list of entries, each with its line. The only file that knows inih.
 *
 * inih cuts a section name at 49 bytes and a line at 199, drops what it cannot read but for the
 * first line number, and has no word for a section without keys. So every line is looked at before
 * inih gets it: what would be cut or dropped becomes a problem instead, never a value.
 */
#ifndef CONFIG_INIFILE_H
#define CONFIG_INIFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/file.h"
#include "config/diag.h"

/*
 * The longest section name that inih holds without cutting it: MAX_SECTION of its ini.c, less the
 * NUL.
 */
#define INIFILE_SECTION_MAX 49

struct inifile_entry {
    struct location where;
    const char *section;
    const char *key; /* NULL: the section's head */
    const char *value;
    const char *comment; /* behind the value, from its ';' on; or NULL */
    bool continued;      /* an indented line that gives the key before it one more value */
};

struct inifile {
    struct inifile_entry *entries;
    size_t count;
};

/*
 * Reads a file. Entries and texts live in the arena. What cannot be taken is added to problems, and
 * the rest is read all the same. Source: https://github.com/benhoyt/inih, ini.c.
 */
void inifile_read(const char *path, enum file_origin origin, struct arena *arena,
                  struct inifile *out, struct diag_list *diags);

/* The same for bytes at hand; path is for messages only. */
void inifile_parse(const char *path, const char *text, size_t len, struct arena *arena,
                   struct inifile *out, struct diag_list *diags);

#endif
