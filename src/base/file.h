/* Reads and replaces small files as a whole, and resolves their paths. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

struct stat;

/* The maximum size of a file, in bytes, unless a manual says otherwise. */
#define FILE_SIZE_MAX ((size_t)16 * 1024 * 1024)

/* Where a path comes from, which decides what it may name. */
enum file_origin {
    FILE_CONFIGURED, /* a configuration names it: a regular file, or a link to one */
    FILE_ARGUMENT,   /* a command line names it: also a pipe or a terminal; "-" is stdin */
};

/*
 * Reads the file at path as a whole, at most max bytes. With FILE_CONFIGURED a pipe, a socket or a
 * device is an error, and is not opened, so that the call never waits. Returns NULL with *data
 * (NUL-terminated, the caller frees it) and *len, or what is wrong, to be written behind the path.
 * The text is a literal or strerror()'s.
 */
const char *file_read(const char *path, enum file_origin origin, size_t max, char **data,
                      size_t *len);

/*
 * Opens /dev/null for each of the descriptors 0 to 2 that is closed. Otherwise the next file that
 * is opened would get that number, and receive what is meant for standard error. A write to
 * standard output still fails, so that no report is lost with an exit status of 0. Call it before
 * anything is opened. Returns true, or false with errno set.
 */
bool file_open_standard(void);

/*
 * Returns a path as seen from a directory: path itself if it is absolute or dir is NULL. The text
 * is in the arena.
 */
const char *file_resolve(struct arena *a, const char *dir, const char *path);

/*
 * Returns the directory part of a path, or "." if it has none. The text is a literal or in the
 * arena.
 */
const char *file_directory(struct arena *a, const char *path);

/*
 * Writes all n bytes to a descriptor. Waits if it takes no more for now, also if it is
 * non-blocking. Returns true, or false with errno set; some bytes may be written then.
 */
bool file_write_all(int fd, const void *bytes, size_t n);

/*
 * Gives a file that root has made in a directory to the owner of that directory. Does nothing for
 * other users. dir and fd are descriptors. Returns true, or false with errno
 * set: EMLINK if the file has another name too, since it may be root's own, linked there by that
 * owner.
 */
bool file_give_to_owner(int dir, int fd);

/*
 * Replaces a file of a directory: writes a new one beside it (NAME.new, mode 0600), syncs it,
 * renames it, and syncs the directory. A crash at any moment leaves the old or the new file. Two
 * processes must not do so at the same time. dir is a descriptor. Returns true and fills in
 * *identity with the new file's fstat(2), or returns false with errno set.
 */
bool file_replace(int dir, const char *name, const void *bytes, size_t n, struct stat *identity);

#endif
