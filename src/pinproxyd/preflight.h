/*
 * What pinproxyd -t can tell of a start or a reload by another user than the one who asks: files
 * that it could not read, a state directory that it could not make or write to, and a Unix socket
 * that could not be made.
 */
#ifndef PINPROXYD_PREFLIGHT_H
#define PINPROXYD_PREFLIGHT_H

#include <stdio.h>

#include "proxy/snapshot.h"

/*
 * Prints such warnings, a line each. The daemon's user is `user` in [global]; for root without one,
 * and with the installed configuration, that of pinproxyd.service, which owns nothing; else the
 * caller.
 */
void preflight_print(const struct snapshot *s, FILE *to);

#endif
