/* Small files read and replaced whole, and the paths that lead to them. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

struct stat;

/* The maximum size of a file of which a manual says nothing else, in bytes. */
#define FILE_SIZE_MAX ((size_t)16 * 1024 * 1024)

/* Where a path comes from decides what it may name. */
enum file_origin {
    FILE_CONFIGURED, /* a configuration names it: a regular file, or a link to one */
    FILE_ARGUMENT,   /* a command line names it: a pipe or a terminal will do; "-" is stdin */
};

/*
 * Reads the file at path whole, at most max bytes. A path of FILE_CONFIGURED is never waited for: a
 * pipe, a socket or a device there is an error, and is not opened. Returns NULL and stores *data
 * (NUL-terminated, the caller frees it) and *len, or returns what went wrong, a phrase that follows
 * the path.
 */
const char *file_read(const char *path, enum file_origin origin, size_t max, char **data,
                      size_t *len);

/*
 * Opens /dev/null for each of the descriptors 0 to 2 that is closed, so that nothing that is opened
 * later takes its place, and what is meant for standard error goes nowhere else. What is written to
 * standard output still fails, so that no report is lost with an exit status of 0. To be called
 * before anything is opened. Returns false with errno set.
 */
bool file_open_standard(void);

/* A path as seen from a directory: itself when absolute, or when dir is NULL. In the arena. */
const char *file_resolve(struct arena *a, const char *dir, const char *path);

/* The directory part of a path, "." when it has none. In the arena. */
const char *file_directory(struct arena *a, const char *path);

/*
 * Writes all n bytes to a descriptor. Waits if it takes no more for now, also if it is non-blocking.
 * Returns true, or false with errno set; some bytes may be written then.
 */
bool file_write_all(int fd, const void *bytes, size_t n);

/*
 * Gives a file that root has made in a directory to the owner of that directory. Does nothing for
 * other users. dir and fd are descriptors. Returns false with errno set: EMLINK if the file has
 * another name too, for it may be root's own, linked there by that owner.
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
