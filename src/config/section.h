/*
 * The configuration as plain structs, and the questions that one section can answer. A value that
 * only OpenSSL can check (cipher lists, trust anchors) has its file and line, so that a later
 * message can name them. The loader fills the structs in (loader.h). Manual: pinproxyd.conf(5).
 */
#ifndef CONFIG_SECTION_H
#define CONFIG_SECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/diag.h"
#include "config/starttls.h"
#include "config/via.h"
#include "pin/pin.h"

/* Which line of a section sets an option. */
struct config_line {
    const char *option;
    unsigned line; /* 0: the option has no value */
    bool wrong;    /* the value could not be read; the error has been reported */
};

struct config_lines {
    const char *file;
    struct config_line *items;
    size_t count;
};

/* A value that is checked later, by the module that uses it. */
struct config_string {
    const char *text; /* NULL: not set */
    struct location where;
};

struct config_strings {
    struct config_string *items;
    size_t count;
};

/* An address to connect to: an IP address, or a name to resolve. */
struct config_target {
    const char *host;
    uint16_t port; /* 0: the section's */
};

struct config_targets {
    struct config_target *items;
    size_t count;
};

struct config_listen {
    struct location where;
    const char *text; /* as it is written; identifies the listener in logs and at a reload */
    struct addr addr;
    int mode;          /* unix: the mode of the file; -1: set by the umask */
    const char *user;  /* unix: the owner, or NULL */
    const char *group; /* unix: the group, or NULL */
};

struct config_listens {
    struct config_listen *items;
    size_t count;
};

enum config_verify { VERIFY_PIN, VERIFY_PIN_PKI, VERIFY_PKI, VERIFY_TOFU, VERIFY_TOFU_PKI };
enum config_pin_removed { PIN_REMOVED_KEEP, PIN_REMOVED_CLOSE };
enum config_ocsp { OCSP_OFF, OCSP_STAPLE };
enum config_family { FAMILY_ANY, FAMILY_IPV4, FAMILY_IPV6 };
enum config_send_proxy { SEND_PROXY_OFF, SEND_PROXY_V1, SEND_PROXY_V2 };
enum config_truncation { TRUNCATION_RESET, TRUNCATION_ALLOW };
enum config_raw_key { RAW_KEY_NO, RAW_KEY_OFFER, RAW_KEY_REQUIRE };
enum config_tls { CONFIG_TLS_ANY, CONFIG_TLS_1_2, CONFIG_TLS_1_3 };
/* UNSET: see config_client(). */
enum config_client { CLIENT_UNSET, CLIENT_RAW, CLIENT_HTTP, CLIENT_POSTGRES };
enum config_log_format { LOG_AUTO, LOG_TEXT, LOG_JSON };

/* Bits of also_check. */
enum { ALSO_CHECK_NAME = 1, ALSO_CHECK_DATES = 2 };

/* The value of `enforce`. */
struct config_enforce {
    bool report;   /* a pin mismatch is only reported, and not refused */
    int64_t until; /* the second at which that ends; 0: it does not end */
};

/* The settings of a TLS context. Sections with equal settings share one (tls/tlsctx.h). */
struct config_tls_settings {
    enum config_tls min;
    enum config_tls max;
    struct config_string ciphers;
    struct config_string ciphersuites;
    struct config_string groups;
    struct config_string sigalgs;
    bool resume;
    struct config_string client_cert;         /* a path or a URI (store.h); no text: none */
    struct config_string client_key;          /* the same; no text: it is with the certificate */
    struct config_string client_key_password; /* the path of its file */
    enum config_raw_key raw_key;
};

struct config_section {
    const char *name;
    struct location where;     /* its header */
    struct config_lines lines; /* of the options that it sets itself, without [defaults] */
    const char *config_path;   /* of the configuration, for commands in messages */

    const char *host; /* without a trailing dot; an IPv6 address may have a zone */
    long port;
    struct config_targets address;
    enum config_family family;
    struct addr bind;
    struct config_via via;
    enum config_send_proxy send_proxy;
    enum starttls starttls;
    int64_t keepalive; /* durations are in milliseconds; 0: off */

    struct config_listens listen;
    enum config_client client;
    long max_connections; /* 0: no limit */
    long warm;            /* connections made ahead, for each listener */
    int64_t warm_lifetime;

    enum config_verify verify;
    struct pin_list pins;
    struct pin_list revoked;
    unsigned also_check;
    struct config_enforce enforce;
    enum config_pin_removed on_pin_removed;
    const char *pins_url; /* the path, or NULL */
    struct config_strings ca_file;
    struct config_strings ca_dir;
    struct config_strings crl_file;
    enum config_ocsp ocsp;
    const char *verify_name; /* a host, an address or a SPIFFE ID; never NULL once loaded */

    const char *sni; /* NULL: none is sent */
    struct config_tls_settings tls;
    struct config_strings alpn;
    enum config_truncation truncation;

    int64_t connect_timeout;
    int64_t handshake_timeout;
    int64_t idle_timeout;
    int64_t half_close_timeout;
    int64_t max_lifetime;
    int64_t dns_ttl;
};

struct config_global {
    long workers; /* 0: one per CPU */
    const char *user;
    const char *group;
    enum log_level log_level;
    enum config_log_format log_format;
    long max_connections;  /* 0: from RLIMIT_NOFILE */
    const char *state_dir; /* never NULL once loaded */
    int64_t drain_timeout;
    bool remote_clients;
    struct config_lines lines;
};

struct config {
    struct arena arena;
    const char *path;            /* of the file that was loaded */
    struct config_strings files; /* that file, and those that it includes */
    struct config_global global;
    struct config_section **sections; /* sorted by name */
    size_t count;
};

/* Returns true if a section's name, in any case, is no host: [global], [defaults], [proxy]. */
bool config_is_reserved(const char *name);

/*
 * Returns a copy of a section's name, in the arena, as it is stored, logged and compared: without a
 * trailing dot.
 */
const char *config_bare_name(struct arena *arena, const char *name);

/*
 * Sets the host, verify_name and sni of a section, if they are not set, from its name and host.
 * verify_name has no IPv6 zone, which has a meaning on this machine alone. No name is sent to an IP
 * address, and none if sni is "off". Texts are in the arena.
 */
void config_complete(struct config_section *s, struct arena *arena);

/* Returns the protocol of the section's clients: that of `client`, or its default. */
enum config_client config_client(const struct config_section *s);

/* Returns the line that sets an option, or NULL. It lives as long as the configuration. */
const struct config_line *config_find_line(const struct config_lines *lines, const char *option);

/* Returns where an option is set. The line of the result is 0 if these lines do not set it. */
struct location config_set_at(const struct config_lines *lines, const char *option);

/* Returns true if the section's mode checks the PKI (verify = pki, pin+pki, tofu+pki). */
bool config_uses_pki(const struct config_section *s);

/* Returns true if the section's mode learns the key that it sees first (tofu, tofu+pki). */
bool config_uses_tofu(const struct config_section *s);

/* Returns true if pins can be learned for the section, at first use or from its pins_url. */
bool config_learns(const struct config_section *s);

/* Returns true if a pin mismatch is only reported at this time (seconds since the epoch). */
bool config_is_reporting(const struct config_section *s, int64_t now);

/* Sorts the sections by name, for config_find(). Sections of the same name keep their order. */
void config_sort(struct config *c);

/*
 * Returns the index of a section in c->sections, or c->count if there is none of that name. The
 * sections must be sorted.
 */
size_t config_find(const struct config *c, const char *name);

/* Frees a configuration and all that it holds. NULL is allowed. */
void config_free(struct config *c);

#endif
