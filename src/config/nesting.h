/* Checks of `via = section:NAME`: sections that are reached over a connection of another one. */
#ifndef CONFIG_NESTING_H
#define CONFIG_NESTING_H

#include "config/diag.h"
#include "config/section.h"

/* The maximum number of sections that one is inside of. */
#define NESTING_MAX 4

/*
 * Checks that the sections that are named exist, that CONNECT can be sent to them, and that they
 * make no circle and are not too many, one inside the other. The sections must be sorted. Adds what
 * is wrong.
 */
void nesting_check(const struct config *c, struct diag_list *diags);

#endif
