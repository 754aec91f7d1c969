/* Which files a value of `include` names. */
#ifndef CONFIG_INCLUDE_H
#define CONFIG_INCLUDE_H

#include <stddef.h>

#include "base/mem.h"

struct include_files {
    const char **paths;
    size_t count;
};

/*
 * Finds the files of a path or a pattern (glob(7)), in sorted order. from: the file that
 * names them. A relative one starts at its directory, which is never a pattern itself. A pattern
 * may match nothing, unless it is two written on one line; a path must exist. No file includes
 * itself. Returns NULL and stores the paths, in the arena, or returns what is wrong, in the arena
 * too.
 */
const char *include_find(struct arena *arena, const char *from, const char *value,
                         struct include_files *files);

#endif
