/*
 * Every option, one row each. These read the rows and nothing else: the loader, --help-config, the
 * warning of options that need a restart, the key of a TLS context, the policy id, and the tests of
 * each of them. A new option is a row in options.c, a field in section.h and an item in
 * pinproxyd.conf(5).
 */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/strbuf.h"
#include "config/section.h"
#include "config/values.h"

enum option_scope {
    OPTION_GLOBAL,  /* [global] */
    OPTION_SECTION, /* [defaults] and host sections */
    OPTION_HOST,    /* host sections only */
    OPTION_PROXY,   /* [proxy] */
};

enum {
    OPTION_LIST = 1,    /* may be written several times, or continue in indented lines */
    OPTION_LATER = 2,   /* not supported yet: only the default may be written */
    OPTION_RESTART = 4, /* [global]: a reload does not apply it */
    OPTION_TLS = 8,     /* sections: a part of the TLS context's key (tls/tlsctx.h) */
    /*
     * Each row of a section has one of these two: the option does or does not shape which server is
     * trusted and how the proxy speaks to it. An option without either is a part of the policy id
     * (trust/policyid.h), so that none is left out by mistake.
     */
    OPTION_IDENTITY = 16,
    OPTION_NO_IDENTITY = 32,
    OPTION_SERVER = 64, /* sections: selects the server to connect to */
};

struct option_row {
    const char *name;
    enum option_scope scope;
    unsigned flags;
    const char *value; /* the default as it would be written; NULL: none */
    const struct value_kind *kind;
    size_t offset; /* of the field, in struct config_global or struct config_section */
    size_t size;   /* of the field; 0: there is none */
    struct value_range range;
    const char *help; /* one line */
};

#define OPTIONS_MAX 96

extern const struct option_row options[];
extern const size_t options_count;

/*
 * Returns the row of an option, or NULL. Scope OPTION_HOST includes the options of scope
 * OPTION_SECTION.
 */
const struct option_row *options_find(const char *name, enum option_scope scope);

/* Sets every field of a scope to its default. The struct must be zeroed. */
void options_set_defaults(void *target, enum option_scope scope, struct arena *arena);

/*
 * Returns a value of an option as messages may show it: without its secrets. It is value itself, or
 * a text in the arena.
 */
const char *options_shown(const struct option_row *o, const char *value, struct arena *arena);

/*
 * Reads a value into the option's field of target. Returns NULL, or a whole sentence that says what
 * is wrong, in the arena of ctx.
 */
const char *options_set(const struct option_row *o, void *target, const struct value_context *ctx,
                        const char *value);

/* Returns whether an option has the same value in two structs of its scope. */
bool options_equal(const struct option_row *o, const void *a, const void *b);

/*
 * Appends the values that a section has of a set of options, as bytes that can be compared or
 * hashed (canonical.h). part: OPTION_TLS, OPTION_IDENTITY or OPTION_SERVER, for the set of that name.
 * rows: the table, which is options[] but in tests.
 */
void options_canonical(const struct option_row *rows, size_t count, unsigned part,
                       const struct config_section *s, struct strbuf *out);

/*
 * Returns whether two sections have the same values of a set of options. part: OPTION_TLS,
 * OPTION_IDENTITY or OPTION_SERVER.
 */
bool options_agree(unsigned part, const struct config_section *a, const struct config_section *b);

/* Prints all options: the output of pinproxyd --help-config. */
void options_print(FILE *to);

#endif
