/* The directory of learned pins ($state_dir): who may read it, and who may change it. */
#ifndef LEARNED_LEARNEDDIR_H
#define LEARNED_LEARNEDDIR_H

#include <stdbool.h>
#include <sys/types.h>

/* In place of a user: the owner of the directory. */
#define LEARNEDDIR_OWNER ((uid_t)-1)

/*
 * Checks that nobody but root, this process's own user and user can change the directory, the files
 * in it that are read or written, or what their paths lead to (safepath.h). Returns NULL, also if
 * the directory is not there, or "DIR: what is wrong and what would be right", which the caller
 * frees.
 */
char *learneddir_check(const char *dir, uid_t user);

/*
 * Checks the directory in this way, and that it is one that can be searched. With create it is made
 * if it is missing (not its parents); else it may be missing, but not its parent. Returns as
 * learneddir_check() does.
 */
char *learneddir_open(const char *dir, bool create, uid_t user);

/* Returns whether there are learned pins in the directory that this process may not read. */
bool learneddir_is_denied(const char *dir);

#endif
