/* What the process may do: giving up root. */
#ifndef PINPROXYD_PRIVILEGES_H
#define PINPROXYD_PRIVILEGES_H

/*
 * Becomes user and group for good. Without a user nothing changes; as root that is worth a warning,
 * which is logged. NULL, or what went wrong.
 */
const char *privileges_drop(const char *user, const char *group);

#endif
