/* Finds programs, as a shell does. */
#ifndef BASE_PROGRAM_H
#define BASE_PROGRAM_H

#include <limits.h>

/* Where programs are looked for if the environment has no PATH. */
#define PROGRAM_DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

/*
 * Finds the program that a name means: the name itself if it has a slash, else the first file of
 * that name that can be executed in a directory of PATH. Directories of PATH that are not absolute
 * are left out. Returns 0 and writes the path, or returns an errno value: EACCES if a file was
 * found that cannot be executed, ENOENT if none was found.
 */
int program_find(const char *name, char path[PATH_MAX]);

#endif
