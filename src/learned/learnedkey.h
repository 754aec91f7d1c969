/*
 * A learned key, and its line in the file. learned.h has the grammar. Text in, text out.
 */
#ifndef LEARNED_LEARNEDKEY_H
#define LEARNED_LEARNEDKEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pin/cert.h"
#include "pin/pin.h"

/* The sizes of the longest section name (inih's) and the longest "HOST:PORT", with their NUL. */
#define LEARNED_SECTION_SIZE 64
#define LEARNED_HOSTPORT_SIZE 272

/* The maximum number of keys of a section, of all kinds together. */
#define LEARNED_KEYS_MAX 32

enum learned_origin { LEARNED_TOFU, LEARNED_PINS_URL };

/*
 * The pin that a key from pins_url depends on: the connection that announced the key was accepted
 * on that pin, or on a learned pin that depends on it. It is in the configuration, or it is a key
 * from tofu.
 */
struct learned_via {
    bool known; /* false: the line has no via= */
    enum pin_role role;
    enum pin_kind kind;
    uint8_t digest[CERT_DIGEST_SIZE];
};

struct learned_key {
    char section[LEARNED_SECTION_SIZE];
    char hostport[LEARNED_HOSTPORT_SIZE]; /* "host:port", "[::1]:443": whose key it is */
    uint8_t digest[CERT_DIGEST_SIZE];
    int64_t first_seen; /* the day, in seconds since the epoch */
    int64_t until;      /* not accepted from this second on; 0: no end */
    enum learned_origin from;
    bool refused; /* not accepted: stored for `pinproxy learned accept` */
    struct learned_via via;
};

/* The result of a change. */
enum learned_result {
    LEARNED_DONE,   /* the file was changed */
    LEARNED_SAME,   /* there was nothing to change */
    LEARNED_OTHER,  /* another key is there; nothing was changed */
    LEARNED_NONE,   /* there is no such key; nothing was changed */
    LEARNED_FAILED, /* *why says what went wrong, with file and line; the caller frees it */
};

/* All keys that a host announces now (pins_url). The caller owns the memory. */
struct learned_announcement {
    const char *section;
    const char *hostport;
    const struct learned_key *keys; /* all of this section and hostport, from LEARNED_PINS_URL */
    size_t count;                   /* 0: it announces none any more */
};

/*
 * Fills in an accepted key from LEARNED_TOFU without an end, first seen on the day of now (seconds
 * since the epoch). Returns false, with *key undefined, if section or hostport does not fit: a name
 * that was cut would be that of another.
 */
bool learnedkey_init(struct learned_key *key, const char *section, const char *hostport,
                     const uint8_t digest[CERT_DIGEST_SIZE], int64_t now);

/* Returns the day of a time, which is its midnight (UTC). The file has whole days. */
int64_t learnedkey_day(int64_t seconds);

/* Returns the name of an origin, which is behind "from=" in the file, and in the log. Static. */
const char *learnedkey_origin(enum learned_origin origin);

/*
 * Parses a line without its newline. Sets *is_key and fills in *key, or clears *is_key if the line
 * is blank or a comment. Returns NULL, or what is wrong and what is expected, a literal.
 */
const char *learnedkey_parse(const char *text, struct learned_key *key, bool *is_key);

/*
 * Parses a key's pin, "sha256//" and 44 characters of base64. Returns NULL with digest filled in,
 * or what is wrong and what is expected, a literal.
 */
const char *learnedkey_parse_pin(const char *word, uint8_t digest[CERT_DIGEST_SIZE]);

/* Returns the line of a key, without a newline and without a comment. The caller frees it. */
char *learnedkey_format(const struct learned_key *k);

/* Returns true if two keys depend on the same pin, or both on none. */
bool learnedkey_same_via(const struct learned_via *a, const struct learned_via *b);

/* Returns the offset of the comment of a line, or the length of the line if it has none. */
size_t learnedkey_comment(const char *text);

/* Returns true if two keys of one section have the same host, origin and digest. */
bool learnedkey_same(const struct learned_key *a, const struct learned_key *b);

/* Returns true if two keys are equal in every field. */
bool learnedkey_equal(const struct learned_key *a, const struct learned_key *b);

#endif
