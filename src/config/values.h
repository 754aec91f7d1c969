/*
 * The kinds of values that options take, named in the rows of options.c: how a value is read into
 * its field, and how two values are compared.
 */
#ifndef CONFIG_VALUES_H
#define CONFIG_VALUES_H

#include "config/canonical.h"
#include "config/diag.h"
#include "config/section.h"

/* Where a value is written, and the arena for the texts and lists that it needs. */
struct value_context {
    struct arena *arena;
    struct location where;
    const char *dir; /* relative paths start here; NULL: the working directory */
};

/* The bounds that a row sets for its values. */
struct value_range {
    long min; /* numbers; of words, the index of the first that is accepted */
    long max;
    /* In the order of their enum, with NULL at the end. A word with a "!" is not supported yet. */
    const char *const *words;
};

/*
 * Reads one value into its field, or adds it to a list. Returns NULL, or what is wrong or expected
 * (a literal, or in the arena); the field is then as it was.
 */
typedef const char *value_parse(const struct value_context *ctx, const struct value_range *range,
                                void *field, const char *value);

/* Adds to a section's list the values from [defaults] that it does not have. */
typedef void value_merge(struct arena *arena, void *field, const void *inherited);

/* Returns true if a comment after a value, with its ';', looks like a part of the value. */
typedef bool value_in_comment(const char *comment);

/* Returns a copy of a value without the secrets in it, for messages. The copy is in the arena. */
typedef const char *value_conceal(const char *value, struct arena *arena);

struct value_kind {
    value_parse *parse;
    canonical_append *canonical;
    size_t size;                  /* of the field */
    value_merge *merge;           /* NULL: a section's value replaces that of [defaults] */
    value_in_comment *in_comment; /* NULL: no comment can */
    value_conceal *conceal;       /* NULL: a value has no secrets */
};

extern const struct value_kind value_also_check;  /* unsigned: bits */
extern const struct value_kind value_alpn;        /* struct config_strings */
extern const struct value_kind value_bool;        /* bool */
extern const struct value_kind value_choice;      /* an enum: the index among the words */
extern const struct value_kind value_deadline;    /* int64_t: milliseconds, above 0 */
extern const struct value_kind value_delay;       /* int64_t: milliseconds, 0: none */
extern const struct value_kind value_duration;    /* int64_t: milliseconds, 0: no limit */
extern const struct value_kind value_enforce;     /* struct config_enforce */
extern const struct value_kind value_group;       /* const char *: a group of this system */
extern const struct value_kind value_host;        /* const char *: without a trailing dot */
extern const struct value_kind value_ip;          /* struct addr */
extern const struct value_kind value_listen;      /* struct config_listens */
extern const struct value_kind value_number;      /* long */
extern const struct value_kind value_path;        /* const char * */
extern const struct value_kind value_paths;       /* struct config_strings */
extern const struct value_kind value_pin;         /* struct pin_list */
extern const struct value_kind value_revoked;     /* struct pin_list */
extern const struct value_kind value_sni;         /* const char *: a name, or "off" */
extern const struct value_kind value_target;      /* struct config_targets */
extern const struct value_kind value_text;        /* struct config_string */
extern const struct value_kind value_tls;         /* enum config_tls: the index among the words */
extern const struct value_kind value_url_path;    /* const char *: begins with a slash */
extern const struct value_kind value_user;        /* const char *: a user of this system */
extern const struct value_kind value_verify_name; /* const char *: a name in a certificate */
extern const struct value_kind value_via;         /* struct config_via */
extern const struct value_kind value_workers;     /* long: 0 for auto */

#endif
