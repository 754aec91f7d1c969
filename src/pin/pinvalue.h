/* The values of the options `pin` and `revoked` (pinproxyd.conf(5)): digests, and files. */
#ifndef PIN_PINVALUE_H
#define PIN_PINVALUE_H

#include <stdbool.h>

#include "base/mem.h"
#include "pin/pin.h"

/*
 * Reads one value of the `pin` option and adds its pins to the list, in the arena. Relative paths
 * start at dir (NULL: the working directory). Returns NULL; or returns what is wrong and what would
 * be right, and leaves the list as it was.
 */
const char *pinvalue_parse(const char *value, const char *dir, struct arena *arena,
                           struct pin_list *list);

/* Reads one value of the `revoked` option: keys only, without until= or name=. */
const char *pinvalue_parse_revoked(const char *value, const char *dir, struct arena *arena,
                                   struct pin_list *list);

/*
 * Checks whether a comment, from its ';' on, begins as a pin or as until= or name=, or continues so
 * after another ';'. After a value of `pin` or `revoked` it was meant as a part of the value, and a
 * pin or its last day would be lost with it.
 */
bool pinvalue_in_comment(const char *comment);

#endif
