/*
 * Turns values into bytes, so that two of them can be compared, or many of them hashed: one
 * function for each type of field. Equal values give equal bytes. Each value begins with its length
 * or count, or has a fixed length. So different values give different bytes, even if several of
 * them follow each other. The file and line of a value make no difference.
 */
#ifndef CONFIG_DIGEST_H
#define CONFIG_DIGEST_H

#include <stddef.h>

#include "base/strbuf.h"

/* Appends a field's value to out. field points to the type in the comment of each function. */
typedef void value_digest(const void *field, struct strbuf *out);

value_digest digest_addr;     /* struct addr */
value_digest digest_bool;     /* bool */
value_digest digest_enforce;  /* struct config_enforce */
value_digest digest_int;      /* int, or an enum */
value_digest digest_int64;    /* int64_t */
value_digest digest_listens;  /* struct config_listens */
value_digest digest_long;     /* long */
value_digest digest_pins;     /* struct pin_list */
value_digest digest_string;   /* struct config_string */
value_digest digest_strings;  /* struct config_strings */
value_digest digest_targets;  /* struct config_targets */
value_digest digest_text;     /* const char *; NULL differs from "" */
value_digest digest_unsigned; /* unsigned */

/* Appends n bytes, with their number before them. */
void digest_bytes(const void *bytes, size_t n, struct strbuf *out);

#endif
