/*
 * Where a certificate or a private key of this machine comes from: a file, or an object that a URI
 * names (OSSL_STORE(3)), such as a key in a PKCS#11 token. Values of `client_cert`, `client_key` and
 * `client_key_password`.
 */
#ifndef CONFIG_STORE_H
#define CONFIG_STORE_H

#include <stdbool.h>

#include "config/values.h"

extern const struct value_kind store_client_cert;   /* struct config_string; off: no text */
extern const struct value_kind store_client_key;    /* struct config_string */
extern const struct value_kind store_password_file; /* struct config_string: a path */

/*
 * Parses a path or a URI. A relative path starts at dir (NULL: the working directory), and "%d/NAME"
 * is a file of systemd's credentials directory (systemd.exec(5)). "file:PATH" is a path. Returns
 * NULL after setting *out, in the arena, or what is wrong or expected: a literal, or in the arena.
 */
const char *store_parse(const char *value, const char *dir, struct arena *arena, const char **out);

/* Parses "file:PATH" in the same way. Nothing else is accepted. */
const char *store_parse_file(const char *value, const char *dir, struct arena *arena,
                             const char **out);

/* Returns whether a text from store_parse() is a URI. Otherwise it is a path. */
bool store_is_uri(const char *text);

/*
 * Returns a text from store_parse() as messages may have it: a URI without its query, which may
 * contain a PIN (RFC 7512 section 2.4), and without a PIN that was written before the query. The
 * text is in the arena.
 */
const char *store_printable(const char *text, struct arena *arena);

#endif
