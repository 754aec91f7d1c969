/* What the process may do: giving up root. */
#ifndef PINPROXYD_PRIVILEGES_H
#define PINPROXYD_PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Becomes user and group for good. Without a user nothing changes; as root that is worth a warning,
 * which is logged. NULL, or what went wrong.
 */
const char *privileges_drop(const char *user, const char *group);

/* Returns whether the process runs as this user. */
bool privileges_is(const char *user);

/* Returns the user that the daemon becomes after binding; NULL: the one that it runs as. */
uid_t privileges_uid(const char *user);

#endif
