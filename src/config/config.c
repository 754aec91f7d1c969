#include "config/config.h"

#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/hostname.h"
#include "config/checks.h"
#include "config/inifile.h"
#include "config/options.h"

/* A section while it is read: what was given in it, so that the rest can be inherited. */
struct draft {
    enum option_scope scope;
    void *target;
    struct config_section *section; /* NULL for [global] */
    unsigned line[OPTIONS_MAX];     /* where it was given first; 0: it was not */
    bool wrong[OPTIONS_MAX];        /* what was given could not be read, which has been said */
};

struct loader {
    struct config *config;
    struct problems *problems;
    struct draft global;
    struct draft defaults;
    struct draft *hosts; /* in the order of config->sections */
    bool have_global;
    bool have_defaults;
    struct config_texts includes;
    bool included; /* reading an included file */
    const char *dir;
};

static const char *const reserved[] = {"global", "defaults", "proxy"};

static struct draft *start_host(struct loader *l, const struct inifile_entry *head)
{
    struct config *c = l->config;
    struct config_section *s = arena_alloc(&c->arena, sizeof(*s));
    struct draft *d;
    size_t i;

    for (i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        if (strcasecmp(head->section, reserved[i]) == 0) {
            problems_add(l->problems, head->where, "unknown section [%s]: write [%s]",
                         head->section, reserved[i]);
            return NULL;
        }
    }
    if (strchr(head->section, ':') && !hostname_is_ip(head->section)) {
        problems_add(l->problems, head->where,
                     "unknown kind of section [%s]: expected [global], [defaults] or [HOST]",
                     head->section);
        return NULL;
    }
    s->name = head->section;
    s->where = head->where;
    c->sections = arena_grow(&c->arena, c->sections, c->count, sizeof(struct config_section *));
    l->hosts = arena_grow(&c->arena, l->hosts, c->count, sizeof(*l->hosts));
    c->sections[c->count] = s;
    d = &l->hosts[c->count];
    memset(d, 0, sizeof(*d));
    d->scope = OPTION_HOST;
    d->target = s;
    d->section = s;
    c->count++;
    return d;
}

static struct draft *start_once(struct loader *l, const struct inifile_entry *head,
                                struct draft *draft, bool *have)
{
    if (*have) {
        problems_add(l->problems, head->where, "section [%s] appears twice", head->section);
        return NULL;
    }
    *have = true;
    return draft;
}

/* The draft that the keys after this head belong to, or NULL when they cannot be read. */
static struct draft *start_section(struct loader *l, const struct inifile_entry *head)
{
    if (strcmp(head->section, "global") == 0)
        return start_once(l, head, &l->global, &l->have_global);
    if (strcmp(head->section, "defaults") == 0)
        return start_once(l, head, &l->defaults, &l->have_defaults);
    if (strcmp(head->section, "proxy") == 0 || strncmp(head->section, "proxy:", 6) == 0) {
        problems_add(l->problems, head->where, "section [%s] is not supported yet", head->section);
        return NULL;
    }
    return start_host(l, head);
}

static size_t smallest(size_t a, size_t b, size_t c)
{
    if (b < a)
        a = b;
    return c < a ? c : a;
}

/* Levenshtein's distance between two short words. */
static size_t distance(const char *a, const char *b)
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

            row[j] = smallest(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[n];
}

static void unknown_key(struct loader *l, const struct draft *d, const struct inifile_entry *e)
{
    const char *nearest = NULL;
    size_t best = 3, i;

    if (d->scope == OPTION_GLOBAL && options_find(e->key, OPTION_HOST)) {
        problems_add(l->problems, e->where,
                     "'%s' does not belong in [global] but in [defaults] "
                     "or a host's section",
                     e->key);
        return;
    }
    if (d->scope != OPTION_GLOBAL && options_find(e->key, OPTION_GLOBAL)) {
        problems_add(l->problems, e->where, "'%s' belongs in [global]", e->key);
        return;
    }
    if (d->scope == OPTION_SECTION && options_find(e->key, OPTION_HOST)) {
        problems_add(l->problems, e->where,
                     "'%s' belongs in a host's section: it cannot be the "
                     "same for all",
                     e->key);
        return;
    }
    for (i = 0; i < options_count; i++) {
        size_t n = distance(e->key, options[i].name);

        if (n < best && options_find(options[i].name, d->scope)) {
            best = n;
            nearest = options[i].name;
        }
    }
    if (nearest)
        problems_add(l->problems, e->where, "unknown key '%s': did you mean '%s'?", e->key,
                     nearest);
    else
        problems_add(l->problems, e->where,
                     "unknown key '%s' ('pinproxyd --help-config' lists all)", e->key);
}

static void add_include(struct loader *l, const struct inifile_entry *e)
{
    struct arena *arena = &l->config->arena;

    if (l->included) {
        problems_add(l->problems, e->where, "an included file cannot include another");
        return;
    }
    l->includes.items = arena_grow(arena, l->includes.items, l->includes.count,
                                   sizeof(*l->includes.items));
    l->includes.items[l->includes.count].text = file_resolve(arena, l->dir, e->value);
    l->includes.items[l->includes.count].where = e->where;
    l->includes.count++;
}

static void read_key(struct loader *l, struct draft *d, const struct inifile_entry *e)
{
    const struct value_context ctx = {.arena = &l->config->arena, .where = e->where, .dir = l->dir};
    const struct option_row *o = options_find(e->key, d->scope);
    const char *why;

    if (!o) {
        unknown_key(l, d, e);
        return;
    }
    if (d->line[o - options] && !(o->flags & OPTION_LIST)) {
        if (e->continued)
            problems_add(l->problems, e->where,
                         "'%s' takes one value, and an indented line goes on with it: start a new "
                         "key at the line's beginning",
                         e->key);
        else
            problems_add(l->problems, e->where, "'%s' is given twice in this section", e->key);
        return;
    }
    if (!d->line[o - options])
        d->line[o - options] = e->where.line;
    /* "pin =" with its values on the lines below */
    if (!*e->value && (o->flags & OPTION_LIST) && !(o->flags & OPTION_LATER))
        return;
    if (strcmp(o->name, "include") == 0) {
        add_include(l, e);
        return;
    }
    why = options_set(o, d->target, &ctx, e->value);
    if (!why)
        return;
    problems_add(l->problems, e->where, "%s", why);
    d->wrong[o - options] = true;
}

static void read_entries(struct loader *l, const char *path, const struct inifile *file)
{
    struct draft *d = NULL;
    size_t i;

    l->dir = file_directory(&l->config->arena, path);
    for (i = 0; i < file->count; i++) {
        if (!file->entries[i].key)
            d = start_section(l, &file->entries[i]);
        else if (d)
            read_key(l, d, &file->entries[i]);
    }
}

static void read_file(struct loader *l, const char *path, enum file_origin origin)
{
    struct arena *arena = &l->config->arena;
    struct inifile file = {0};

    path = arena_strdup(arena, path);
    inifile_read(path, origin, arena, &file, l->problems);
    read_entries(l, path, &file);
}

/* A directory that is not there matches nothing; one that cannot be read is an error. */
static int on_glob_error(const char *path, int error)
{
    (void)path;
    return error != ENOENT && error != ENOTDIR;
}

static void read_includes(struct loader *l)
{
    size_t i, j;

    l->included = true;
    for (i = 0; i < l->includes.count; i++) {
        const struct config_text *include = &l->includes.items[i];
        glob_t found;
        int failed = glob(include->text, 0, on_glob_error, &found);

        if (failed == GLOB_NOMATCH && !strpbrk(include->text, "*?["))
            problems_add(l->problems, include->where, "%s: no such file", include->text);
        else if (failed && failed != GLOB_NOMATCH)
            problems_add(l->problems, include->where, "%s: the directory cannot be read",
                         include->text);
        for (j = 0; !failed && j < found.gl_pathc; j++)
            read_file(l, found.gl_pathv[j], FILE_CONFIGURED);
        globfree(&found);
    }
}

/* Sets what a section does not say itself from [defaults], which has the built-in ones below. */
static void inherit(const struct draft *d, const struct config_section *defaults)
{
    size_t i;

    for (i = 0; i < options_count; i++)
        if (options[i].scope == OPTION_SECTION && options[i].size && !d->line[i])
            memcpy((char *)d->target + options[i].offset,
                   (const char *)defaults + options[i].offset, options[i].size);
}

/* Whether a key was given wrongly, in the section or in [defaults]: then it is not also missing. */
static bool was_wrong(const struct loader *l, const struct draft *d, const char *key)
{
    const struct option_row *o = options_find(key, OPTION_HOST);

    return d->wrong[o - options] || l->defaults.wrong[o - options];
}

static void check_host(struct loader *l, const struct draft *d)
{
    struct config_section *s = d->section;
    const char *why;

    if (!s->host) {
        size_t n = strlen(s->name);

        why = was_wrong(l, d, "host") ? NULL : hostname_check(s->name);
        if (why)
            problems_add(l->problems, s->where,
                         "section name '%s' %s: give the host to connect to as 'host ='", s->name,
                         why);
        s->host = n && s->name[n - 1] == '.' ? arena_strndup(&l->config->arena, s->name, n - 1)
                                             : s->name;
    }
    if (!s->verify_name)
        s->verify_name = s->host;
    if (s->sni && strcmp(s->sni, "off") == 0)
        s->sni = NULL;
    else if (!s->sni && !hostname_is_ip(s->host))
        s->sni = s->host;
}

static void check_tls(struct loader *l, const struct config_section *s)
{
    if (s->tls.max != CONFIG_TLS_ANY && s->tls.max < s->tls.min)
        problems_add(l->problems, s->where, "[%s] has a tls_max below its tls_min", s->name);
}

static int compare_names(const void *a, const void *b)
{
    const struct config_section *x = *(struct config_section *const *)a;
    const struct config_section *y = *(struct config_section *const *)b;

    return strcasecmp(x->name, y->name);
}

/* Orders the sections by name, for config_find(), and finds those that appear twice. */
static void check_names(struct loader *l)
{
    struct config *c = l->config;
    size_t i;

    if (c->count == 0)
        return;
    /* a merge sort in glibc, so what comes first in the files stays first */
    qsort(c->sections, c->count, sizeof(struct config_section *), compare_names);
    for (i = 1; i < c->count; i++)
        if (compare_names(&c->sections[i - 1], &c->sections[i]) == 0)
            problems_add(l->problems, c->sections[i]->where,
                         "section [%s] appears twice: it stands at %s:%u already",
                         c->sections[i]->name, c->sections[i - 1]->where.file,
                         c->sections[i - 1]->where.line);
}

static void finish(struct loader *l)
{
    struct config_section base = {0};
    size_t i;

    options_set_defaults(&base, OPTION_SECTION, &l->config->arena);
    inherit(&l->defaults, &base);
    if (!l->config->global.state_dir)
        l->config->global.state_dir = PINPROXY_LOCALSTATEDIR "/lib/pinproxy";
    for (i = 0; i < l->config->count; i++) {
        const struct draft *d = &l->hosts[i];

        inherit(d, l->defaults.target);
        d->section->config_path = l->config->path;
        check_host(l, d);
        config_check_trust(d->section, d->line, !was_wrong(l, d, "pin"), l->problems);
        check_tls(l, d->section);
    }
    check_names(l);
    config_check_listeners(l->config, l->problems);
}

static void start(struct loader *l, struct problems *problems)
{
    struct config *c = xcalloc(1, sizeof(*c));

    memset(l, 0, sizeof(*l));
    l->config = c;
    l->problems = problems;
    options_set_defaults(&c->global, OPTION_GLOBAL, &c->arena);
    l->global.scope = OPTION_GLOBAL;
    l->global.target = &c->global;
    l->defaults.scope = OPTION_SECTION;
    l->defaults.target = arena_alloc(&c->arena, sizeof(struct config_section));
}

struct config *config_load(const char *path, enum file_origin origin, struct problems *problems)
{
    struct loader l;

    start(&l, problems);
    l.config->path = arena_strdup(&l.config->arena, path);
    read_file(&l, path, origin);
    read_includes(&l);
    finish(&l);
    return l.config;
}

struct config *config_parse(const char *path, const char *text, size_t len,
                            struct problems *problems)
{
    struct inifile file = {0};
    struct loader l;

    start(&l, problems);
    path = l.config->path = arena_strdup(&l.config->arena, path);
    inifile_parse(path, text, len, &l.config->arena, &file, problems);
    read_entries(&l, path, &file);
    read_includes(&l);
    finish(&l);
    return l.config;
}

struct config *config_single(const char *name, struct config_section **section)
{
    struct config *c = xcalloc(1, sizeof(*c));
    struct config_section *s = arena_alloc(&c->arena, sizeof(*s));

    options_set_defaults(&c->global, OPTION_GLOBAL, &c->arena);
    options_set_defaults(s, OPTION_SECTION, &c->arena);
    c->global.state_dir = PINPROXY_LOCALSTATEDIR "/lib/pinproxy";
    s->name = arena_strdup(&c->arena, name);
    s->where.file = "command line";
    s->host = s->name;
    s->verify_name = s->host;
    s->sni = hostname_is_ip(s->host) ? NULL : s->host;
    c->sections = arena_grow(&c->arena, NULL, 0, sizeof(struct config_section *));
    c->sections[c->count++] = s;
    *section = s;
    return c;
}

bool config_uses_pki(const struct config_section *s)
{
    return s->verify == VERIFY_PKI || s->verify == VERIFY_PIN_PKI || s->verify == VERIFY_TOFU_PKI;
}

bool config_uses_tofu(const struct config_section *s)
{
    return s->verify == VERIFY_TOFU || s->verify == VERIFY_TOFU_PKI;
}

bool config_learns(const struct config_section *s)
{
    return config_uses_tofu(s) || s->pins_url;
}

bool config_is_reporting(const struct config_section *s, int64_t now)
{
    return s->enforce.report && (s->enforce.until == 0 || now < s->enforce.until);
}

size_t config_find(const struct config *c, const char *name)
{
    struct config_section key = {.name = name}, *wanted = &key, **found;

    if (c->count == 0)
        return 0;
    found = bsearch(&wanted, c->sections, c->count, sizeof(wanted), compare_names);
    return found ? (size_t)(found - c->sections) : c->count;
}

void config_free(struct config *c)
{
    if (!c)
        return;
    arena_free(&c->arena);
    free(c);
}
