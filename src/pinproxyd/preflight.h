/*
 * Warnings of pinproxyd -t about a start or a reload as another user: files that this user cannot
 * read, a state directory that it cannot create or write to, and a Unix socket that it cannot
 * create.
 */
#ifndef PINPROXYD_PREFLIGHT_H
#define PINPROXYD_PREFLIGHT_H

#include <stdio.h>

#include "proxy/snapshot.h"

/*
 * Prints a line for each such warning. The daemon's user is `user` of [global]. Without it, and
 * with the installed configuration, it is the user of pinproxyd.service, which owns no file, or
 * else the caller's.
 */
void preflight_print(const struct snapshot *s, FILE *to);

#endif
