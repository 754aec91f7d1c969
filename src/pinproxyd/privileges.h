/* What the process may do: giving up root. */
#ifndef PINPROXYD_PRIVILEGES_H
#define PINPROXYD_PRIVILEGES_H

#include <stdbool.h>

/*
 * Becomes user and group for good. Without a user nothing changes; as root that is worth a warning,
 * which is logged. NULL, or what went wrong.
 */
const char *privileges_drop(const char *user, const char *group);

/* Returns whether the process runs as this user. */
bool privileges_is(const char *user);

#endif
