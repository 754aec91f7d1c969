/* The files that a value of `include` names. */
#ifndef CONFIG_INCLUDE_H
#define CONFIG_INCLUDE_H

#include <stddef.h>

#include "base/mem.h"

struct include_files {
    const char **paths;
    size_t count;
};

/*
 * Finds the files that a path or a pattern (glob(7)) names, sorted by name. from: the file that has
 * the value. A relative path starts at the directory of that file, which is never a pattern itself.
 * A pattern may match no file, unless it is two patterns on one line. A path must exist. A file
 * must not include itself. Returns NULL after storing the paths, or what is wrong; both are in the
 * arena.
 */
const char *include_find(struct arena *arena, const char *from, const char *value,
                         struct include_files *files);

#endif
