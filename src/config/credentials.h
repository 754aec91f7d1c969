/* The user and the password for a parent proxy, as they are written before its host. */
#ifndef CONFIG_CREDENTIALS_H
#define CONFIG_CREDENTIALS_H

struct arena;

struct credentials {
    const char *user;     /* NULL: there are none */
    const char *password; /* never in a message */
};

/*
 * Reads "[USER:PASSWORD@]REST". The two may have percent-encoded bytes (RFC 3986 section 2.1). A
 * PASSWORD of the form file:PATH has none: it is the first line of that file (secret_read()).
 * Returns NULL with *out in the arena and *rest, which points into text; or what is wrong, a
 * literal or a text in the arena without the password.
 */
const char *credentials_parse(const char *text, const char *dir, struct arena *arena,
                              struct credentials *out, const char **rest);

/*
 * Returns a copy of a value of `via` without the password that may be in it, for messages: "***" is
 * in its place. The value need not be well-formed. The text is in the arena.
 */
const char *credentials_conceal(const char *value, struct arena *arena);

#endif
