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
 * Finds the files of a path or a pattern (glob(7)), in sorted order. A relative one starts at dir,
 * which is never a pattern itself. A pattern may match nothing; a path must exist. Returns NULL and
 * stores the paths, in the arena, or returns what is wrong, in the arena too.
 */
const char *include_find(struct arena *arena, const char *dir, const char *value,
                         struct include_files *files);

#endif
