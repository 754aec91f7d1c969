/*
 * Turns values into bytes, so that two of them can be compared, or many of them hashed: one
 * function for each type of field. Equal values give equal bytes. Each value begins with its length
 * or count, or has a fixed length. So different values give different bytes, even if several of
 * them follow each other. The file and line of a value make no difference.
 */
#ifndef CONFIG_CANONICAL_H
#define CONFIG_CANONICAL_H

#include <stddef.h>

#include "base/strbuf.h"

/* Appends a field's value to out. field points to the type in the comment of each function. */
typedef void canonical_append(const void *field, struct strbuf *out);

canonical_append canonical_addr;     /* struct addr */
canonical_append canonical_bool;     /* bool */
canonical_append canonical_enforce;  /* struct config_enforce */
canonical_append canonical_int;      /* int, or an enum */
canonical_append canonical_int64;    /* int64_t */
canonical_append canonical_listens;  /* struct config_listens */
canonical_append canonical_long;     /* long */
canonical_append canonical_pins;     /* struct pin_list */
canonical_append canonical_string;   /* struct config_string */
canonical_append canonical_strings;  /* struct config_strings */
canonical_append canonical_targets;  /* struct config_targets */
canonical_append canonical_text;     /* const char *; NULL differs from "" */
canonical_append canonical_unsigned; /* unsigned */
canonical_append canonical_via;      /* struct config_via */

/* Appends n bytes, with their number before them. */
void canonical_bytes(const void *bytes, size_t n, struct strbuf *out);

#endif
