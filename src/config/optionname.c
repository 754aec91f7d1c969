#include "config/optionname.h"

#include <ctype.h>
#include <string.h>

#include "base/foreign.h"

const char *optionname_find(const char *line, const char **value)
{
    const size_t n = strspn(line, "abcdefghijklmnopqrstuvwxyz_0123456789");
    const char *p = line + n;
    size_t i;

    while (isspace((unsigned char)*p))
        p++;
    /* "host:443" is a value of `address`, "host: a.example" can be none */
    if (*p != '=' && !(*p == ':' && isspace((unsigned char)p[1])))
        return NULL;
    for (i = 0; i < options_count; i++) {
        if (strlen(options[i].name) != n || strncmp(options[i].name, line, n) != 0)
            continue;
        for (p++; isspace((unsigned char)*p); p++)
            ;
        *value = p;
        return options[i].name;
    }
    return NULL;
}

static size_t smallest(size_t a, size_t b, size_t c)
{
    if (b < a)
        a = b;
    return c < a ? c : a;
}

/* Returns the Levenshtein distance between a word, in any case, and a short one in lower case. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[64], n = strlen(b), i, j;

    if (n >= 64)
        return n;
    for (j = 0; j <= n; j++)
        row[j] = j;
    for (i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (j = 1; j <= n; j++) {
            size_t above = row[j];

            row[j] = smallest(above + 1, row[j - 1] + 1,
                              diagonal + (tolower((unsigned char)a[i - 1]) != b[j - 1]));
            diagonal = above;
        }
    }
    return row[n];
}

/* The option of a scope whose name differs from a key by a letter or two, or NULL. */
static const struct option_row *find_nearest(const char *key, enum option_scope scope)
{
    const struct option_row *nearest = NULL;
    size_t best = 3, i;

    for (i = 0; i < options_count; i++) {
        size_t n = edit_distance(key, options[i].name);

        if (n < best && options_find(options[i].name, scope)) {
            best = n;
            nearest = &options[i];
        }
    }
    return nearest;
}

const char *optionname_explain(const char *key, enum option_scope scope, struct arena *arena)
{
    const char *advice = foreign_key(key);
    const struct option_row *nearest;

    if (scope == OPTION_GLOBAL && options_find(key, OPTION_HOST))
        return arena_printf(arena,
                            "'%s' is no option of [global]: move it to [defaults] or a host "
                            "section",
                            key);
    if (scope != OPTION_GLOBAL && options_find(key, OPTION_GLOBAL))
        return arena_printf(arena, "'%s' is an option of [global]: move it there", key);
    if (scope == OPTION_SECTION && options_find(key, OPTION_HOST))
        return arena_printf(
            arena, "'%s' cannot be the same for all hosts: move it to a host section", key);
    if (advice)
        return arena_printf(arena, "unknown option '%s': %s", key, advice);
    nearest = find_nearest(key, scope);
    if (nearest)
        return arena_printf(arena, "unknown option '%s': did you mean '%s'?", key, nearest->name);
    return arena_printf(arena, "unknown option '%s': 'pinproxyd --help-config' lists all options",
                        key);
}
