/* The privileges of the process: dropping those of root. */
#ifndef PINPROXYD_PRIVILEGES_H
#define PINPROXYD_PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Changes to user and group for good. Without both nothing changes, and if the process is root, a
 * warning is logged. Without a group it is the user's own. Returns NULL, or what is wrong, a
 * literal or the text of strerror(3), which the next call of that overwrites.
 */
const char *privileges_drop(const char *user, const char *group);

/* Returns true if the process runs as this user. */
bool privileges_is(const char *user);

/*
 * Returns the user that the daemon changes to after binding: the one of this name, or the one that
 * the process runs as if user is NULL or unknown.
 */
uid_t privileges_uid(const char *user);

#endif
