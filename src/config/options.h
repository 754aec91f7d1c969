/*
 * Every option, one row each: the parser, --help-config and the test against the manual read these
 * rows and nothing else. A new option is a row here, a field in config.h and a paragraph in
 * pinproxyd.conf(5).
 */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H

#include <stddef.h>
#include <stdio.h>

#include "config/values.h"

enum option_scope {
    OPTION_GLOBAL,  /* [global] */
    OPTION_SECTION, /* [defaults] and host sections */
    OPTION_HOST,    /* host sections only */
    OPTION_PROXY,   /* [proxy] */
};

enum {
    OPTION_LIST = 1,    /* may be given several times, or go on in indented lines */
    OPTION_LATER = 2,   /* not supported yet: only the default may be written */
    OPTION_RESTART = 4, /* a reload does not change it */
};

struct option_row {
    const char *name;
    enum option_scope scope;
    unsigned flags;
    const char *value; /* the default as it would be written; NULL: none */
    value_parse *parse;
    size_t offset; /* of the field in struct config_global or struct config_section */
    size_t size;   /* of the field */
    struct value_range range;
    /* Adds what [defaults] has to a section's own list; NULL: the section's list replaces it. */
    value_merge *merge;
    /* Whether a comment behind a value reads as a value, which would be lost; NULL: it cannot. */
    value_in_comment *in_comment;
    const char *help; /* one line */
};

#define OPTIONS_MAX 96

extern const struct option_row options[];
extern const size_t options_count;

/* The row of a key, or NULL. Scope OPTION_HOST finds OPTION_SECTION rows as well. */
const struct option_row *options_find(const char *name, enum option_scope scope);

/*
 * Reads the key at the beginning of "KEY = VALUE" or "KEY: VALUE". Returns the option's name and
 * stores where the value begins, or returns NULL if no option of any scope has that name.
 */
const char *options_find_key(const char *line, const char **value);

/* Says what is wrong with a key that is no option of a scope, and what was probably meant. */
const char *options_explain_key(const char *key, enum option_scope scope, struct arena *arena);

/* Sets every field of a scope to its default. The struct must be zeroed. */
void options_set_defaults(void *target, enum option_scope scope, struct arena *arena);

/* Reads a value into target's field. Returns NULL or a whole sentence of what is wrong. */
const char *options_set(const struct option_row *o, void *target, const struct value_context *ctx,
                        const char *value);

/* What pinproxyd --help-config prints. */
void options_print(FILE *to);

#endif
