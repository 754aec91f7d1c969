/* How a section's server is reached: the values of `via`. Manual: pinproxyd.conf(5). */
#ifndef CONFIG_VIA_H
#define CONFIG_VIA_H

#include <stdint.h>

struct arena;

enum via { VIA_TCP, VIA_UNIX, VIA_VSOCK, VIA_SOCKS5, VIA_HTTP, VIA_EXEC, VIA_SERIAL, VIA_SECTION };

/* A value of `via`. The fields after `text` are those that the scheme in the comment uses. */
struct config_via {
    enum via scheme;
    const char *text;        /* as it is written, but without a password: for messages */
    const char *host;        /* socks5, http: the parent's */
    uint16_t port;           /* socks5, http: the parent's */
    const char *user;        /* socks5, http, section: for the parent, or NULL */
    const char *password;    /* NULL if user is NULL; never in a message */
    const char *path;        /* unix, serial */
    const char *const *argv; /* exec: ends with NULL */
    uint32_t cid;            /* vsock */
    uint32_t vsock_port;     /* vsock */
    long baud;               /* serial */
    const char *section;     /* section: its name */
};

/*
 * Reads a value of `via`. Paths are relative to dir. Returns NULL after setting *out, or what would
 * have been right, a text that the arena owns or a literal. All texts of *out are in the arena.
 */
const char *via_parse(const char *value, const char *dir, struct arena *arena,
                      struct config_via *out);

#endif
