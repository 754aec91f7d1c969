/* The user and the password for a parent proxy, before its host (RFC 3986 section 3.2.1). */
#ifndef CONFIG_USERINFO_H
#define CONFIG_USERINFO_H

struct arena;

struct userinfo {
    const char *user;     /* NULL: there are none */
    const char *password; /* never in a message */
};

/*
 * Reads "[USER:PASSWORD@]REST". The two may have percent-encoded bytes (RFC 3986 section 2.1). A
 * PASSWORD of the form file:PATH has none: it is the first line of that file (secret_read()).
 * Returns NULL with *out in the arena and *rest, which points into text; or what is wrong, a
 * literal or a text in the arena without the password.
 */
const char *userinfo_parse(const char *text, const char *dir, struct arena *arena,
                           struct userinfo *out, const char **rest);

/*
 * Returns a copy of a value of `via` without the password that may be in it, for messages: "***" is
 * in its place. The value need not be well-formed. The text is in the arena.
 */
const char *userinfo_conceal(const char *value, struct arena *arena);

#endif
