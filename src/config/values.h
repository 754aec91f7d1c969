/*
 * The kinds of values that options take: one parser each, named in the rows of config/options.c.
 * Each reads one value into its field; of a list, adds to it. Each returns NULL, or what is wrong
 * or expected, and then leaves the field as it was.
 */
#ifndef CONFIG_VALUES_H
#define CONFIG_VALUES_H

#include "config/diag.h"
#include "config/section.h"
#include "pin/pin.h"

/* Where a value stands, and where what it needs is kept. */
struct value_context {
    struct arena *arena;
    struct location where;
    const char *dir; /* relative paths start here; NULL: the working directory */
};

/* What a row says about its values. */
struct value_range {
    long min; /* numbers, and the first of words that may be chosen */
    long max;
    /* In the order of their enum, NULL at the end. A word behind a "!" is not supported yet. */
    const char *const *words;
};

typedef const char *value_parse(const struct value_context *ctx, const struct value_range *range,
                                void *field, const char *value);

/* Adds to a section's field what the same field of [defaults] has. */
typedef void value_merge(struct arena *arena, void *field, const void *inherited);

value_merge value_merge_pins; /* struct pin_list: all but those that the section has as well */

/*
 * Checks whether a comment behind a value, from its ';' on, reads as a further part of the value.
 */
typedef bool value_in_comment(const char *comment);

value_in_comment value_also_check_in_comment;
value_in_comment value_enforce_in_comment;
value_in_comment value_listen_in_comment;

value_parse value_also_check;  /* unsigned: bits */
value_parse value_alpn;        /* struct config_strings */
value_parse value_bool;        /* bool */
value_parse value_choice;      /* int: the index among the words */
value_parse value_deadline;    /* int64_t: milliseconds, above 0 */
value_parse value_delay;       /* int64_t: milliseconds, 0: none */
value_parse value_duration;    /* int64_t: milliseconds, 0: no limit */
value_parse value_enforce;     /* struct config_enforce */
value_parse value_group;       /* const char *: a group of this system */
value_parse value_host;        /* const char *: without a trailing dot */
value_parse value_ip;          /* struct addr */
value_parse value_listen;      /* struct config_listens */
value_parse value_number;      /* long */
value_parse value_path;        /* const char * */
value_parse value_paths;       /* struct config_strings */
value_parse value_pin;         /* struct pin_list */
value_parse value_revoked;     /* struct pin_list */
value_parse value_sni;         /* const char *: a name, or "off" */
value_parse value_target;      /* struct config_targets */
value_parse value_text;        /* struct config_string */
value_parse value_tls;         /* int: enum config_tls, of the words */
value_parse value_url_path;    /* const char *: begins with a slash */
value_parse value_user;        /* const char *: a user of this system */
value_parse value_verify_name; /* const char *: as value_host, of a certificate */
value_parse value_via;         /* enum via */
value_parse value_workers;     /* long: 0 for auto */

#endif
