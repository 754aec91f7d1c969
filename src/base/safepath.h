/* Checks who could replace what a path names. */
#ifndef BASE_SAFEPATH_H
#define BASE_SAFEPATH_H

#include <stdbool.h>
#include <sys/types.h>

/* Returns true for root, the user that this process runs as, and `user`. */
bool safepath_is_trusted(uid_t uid, uid_t user);

/*
 * Checks that only root, the user that this process runs as, and `user` (geteuid() if there is no
 * other) can replace what an existing path names: each file, directory and symbolic link on the way
 * belongs to one of them, and nobody else can write to it. A directory with the sticky bit, such as
 * /tmp, is accepted, because nobody there can rename or remove a file of another user. ssh(1)
 * checks its files in the same way. Returns NULL, or a text that says what is wrong, which the
 * caller frees.
 */
char *safepath_check(const char *path, uid_t user);

#endif
