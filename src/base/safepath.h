/* Whether a path can be relied on: who else could replace what it names. */
#ifndef BASE_SAFEPATH_H
#define BASE_SAFEPATH_H

#include <stdbool.h>
#include <sys/types.h>

/* Returns true for root, the user that this process runs as, and `user`. */
bool safepath_is_trusted(uid_t uid, uid_t user);

/*
 * Checks that nobody can replace what an existing path names but root, the user that this process
 * runs as, and `user` (pass geteuid() if there is no other): each file, directory and symbolic link
 * on the way belongs to one of them, and nobody else can write to it. A directory with the sticky
 * bit, such as /tmp, is accepted: there nobody renames or removes a file of another user. ssh(1)
 * asks the same of its files. Returns NULL, or what is wrong, which the caller frees.
 */
char *safepath_check(const char *path, uid_t user);

#endif
