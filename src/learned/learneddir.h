/* Checks who may read and who may change the directory of learned pins ($state_dir). */
#ifndef LEARNED_LEARNEDDIR_H
#define LEARNED_LEARNEDDIR_H

#include <stdbool.h>
#include <sys/types.h>

/* In place of a user: the owner of the directory. */
#define LEARNEDDIR_OWNER ((uid_t)-1)

/*
 * Checks that nobody but root, this process's own user and user can change the directory, the files
 * in it that are read or written, or what their paths lead to (safepath.h). Returns NULL, also if
 * the directory is missing, or "DIR: " and a text that says what is wrong and what is expected,
 * which the caller frees.
 */
char *learneddir_check(const char *dir, uid_t user);

/*
 * Checks the directory as learneddir_check() does, and that it can be searched. With create, a
 * missing directory is made, but not its parents. Without it, the directory may be missing, but not
 * its parent. Returns as learneddir_check() does.
 */
char *learneddir_open(const char *dir, bool create, uid_t user);

/* Returns true if the directory has a file of learned pins that this process may not read. */
bool learneddir_is_denied(const char *dir);

#endif
