/* Small files read whole, and the paths that lead to them. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stddef.h>

#include "base/mem.h"

/*
 * Reads a file ("-": standard input) of at most `most` bytes; anything larger, unreadable or not a
 * file (a directory) is an error. Returns NULL and stores *data (NUL-terminated, the caller frees
 * it) and *len, or returns what went wrong, a phrase that follows the path.
 */
const char *file_read(const char *path, size_t most, char **data, size_t *len);

/* A path as seen from a directory: itself when absolute, or when dir is NULL. In the arena. */
const char *file_resolve(struct arena *a, const char *dir, const char *path);

/* The directory part of a path, "." when it has none. In the arena. */
const char *file_directory(struct arena *a, const char *path);

#endif
