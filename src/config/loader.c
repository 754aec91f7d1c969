#include "config/loader.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/foreign.h"
#include "base/hostname.h"
#include "config/include.h"
#include "config/inifile.h"
#include "config/listen.h"
#include "config/options.h"
#include "config/validate.h"

/* A section while it is read: what was given in it, so that the rest can be inherited. */
struct section_parser {
    enum option_scope scope;
    void *target;
    struct config_section *section; /* NULL for [global] and [defaults] */
    struct location where;          /* its head; .file NULL: there was none */
    unsigned line[OPTIONS_MAX];     /* where it was given first; 0: it was not */
    bool wrong[OPTIONS_MAX];        /* what was given could not be read, which has been said */
};

/* The key that the line at hand gives a value to. */
struct current {
    const char *key;
    struct section_parser *section_parser;
    struct location where;
    bool empty; /* it has no value yet */
};

struct loader {
    struct config *config;
    struct diag_list *diags;
    struct section_parser global;
    struct section_parser defaults;
    struct section_parser *hosts; /* in the order of config->sections */
    struct arena scratch;         /* for them: nothing needs them after the load */
    struct current current;
    struct config_strings includes;
    struct config_string unmatched; /* a pattern that no file matches, if there is one */
    bool included;                  /* reading an included file */
    const char *dir;
};

static struct section_parser *start_host(struct loader *l, const struct inifile_entry *head)
{
    struct config *c = l->config;
    struct config_section *s = arena_alloc(&c->arena, sizeof(*s));
    const char *why;
    struct section_parser *d;

    if (config_is_reserved(head->section)) {
        diag_add(l->diags, head->where,
                 "unknown section [%s]: [global], [defaults] and [proxy] are written in lower case",
                 head->section);
        return NULL;
    }
    why = foreign_host(head->section);
    if (why) {
        diag_add(l->diags, head->where, "section name '%s' %s", head->section, why);
        return NULL;
    }
    if (strchr(head->section, ':') && !hostname_is_ip(head->section)) {
        diag_add(l->diags, head->where,
                 "unknown kind of section [%s]: expected [global], [defaults] or [HOST]",
                 head->section);
        return NULL;
    }
    s->name = config_bare_name(&c->arena, head->section);
    s->where = head->where;
    c->sections = arena_grow(&c->arena, c->sections, c->count, sizeof(struct config_section *));
    l->hosts = arena_grow(&l->scratch, l->hosts, c->count, sizeof(*l->hosts));
    c->sections[c->count] = s;
    d = &l->hosts[c->count];
    memset(d, 0, sizeof(*d));
    d->scope = OPTION_HOST;
    d->target = s;
    d->section = s;
    d->where = head->where;
    c->count++;
    return d;
}

static struct section_parser *start_once(struct loader *l, const struct inifile_entry *head,
                                         struct section_parser *section_parser)
{
    if (section_parser->where.file) {
        diag_add(l->diags, head->where, "section [%s] appears twice: it is at %s:%u already",
                 head->section, section_parser->where.file, section_parser->where.line);
        return NULL;
    }
    section_parser->where = head->where;
    return section_parser;
}

/* The draft that the keys after this head belong to, or NULL when they cannot be read. */
static struct section_parser *start_section(struct loader *l, const struct inifile_entry *head)
{
    if (strcmp(head->section, "global") == 0)
        return start_once(l, head, &l->global);
    if (strcmp(head->section, "defaults") == 0)
        return start_once(l, head, &l->defaults);
    if (strcmp(head->section, "proxy") == 0 || strncmp(head->section, "proxy:", 6) == 0) {
        diag_add(l->diags, head->where, "section [%s] is not supported yet", head->section);
        return NULL;
    }
    return start_host(l, head);
}

static const char *add_include(struct loader *l, const struct inifile_entry *e)
{
    struct arena *arena = &l->config->arena;

    if (l->included)
        return "an included file cannot include another";
    l->includes.items = arena_grow(arena, l->includes.items, l->includes.count,
                                   sizeof(*l->includes.items));
    l->includes.items[l->includes.count].text = arena_strdup(arena, e->value);
    l->includes.items[l->includes.count].where = e->where;
    l->includes.count++;
    return NULL;
}

/* A key of which nothing can be taken. It is not also missing then. */
static void add_wrong(struct loader *l, struct section_parser *d, const struct option_row *o,
                      struct location where, const char *why)
{
    diag_add(l->diags, where, "%s", why);
    d->wrong[o - options] = true;
}

/* Ends the key at hand: a list whose values were to follow on indented lines must have some. */
static void end_key(struct loader *l)
{
    const struct current *c = &l->current;

    if (c->empty) {
        const struct option_row *o = options_find(c->key, c->section_parser->scope);

        c->section_parser->line[o - options] = 0;
        add_wrong(l, c->section_parser, o, c->where,
                  arena_printf(&l->config->arena,
                               "'%s' has no value, and no indented lines with values follow: give "
                               "one, or take the line away",
                               c->key));
    }
    memset(&l->current, 0, sizeof(l->current));
}

/* An indented line is one more value of the key at hand, or a key that was indented by mistake. */
static void continue_key(struct loader *l, struct section_parser *d, struct inifile_entry *e)
{
    const char *value, *key = options_find_key(e->value, &value);

    if (key) {
        diag_add(l->diags, e->where,
                 "'%s' begins at the beginning of its line, without blanks or tabs before it: "
                 "an indented line is one more value of the option above it",
                 key);
        end_key(l);
        e->value = value;
        e->continued = false;
        l->current = (struct current){.key = key, .section_parser = d, .where = e->where};
    } else {
        l->current.empty = false;
    }
    e->key = l->current.key;
}

static bool is_quoted(const char *value)
{
    const size_t n = strlen(value);

    return n > 1 && (value[0] == '"' || value[0] == '\'') && value[n - 1] == value[0];
}

/* What is wrong with how a value is written, whichever option it is of; or NULL. */
static const char *check_writing(struct arena *arena, const struct option_row *o,
                                 const struct inifile_entry *e)
{
    const char *hash, *character;

    if (*e->value == ';')
        return arena_printf(arena,
                            "%s =%s: a ';' right behind the '=' starts no comment: put a blank "
                            "before it",
                            o->name, e->value);
    for (hash = e->value; (hash = strchr(hash, '#')); hash++)
        if (hash == e->value || isspace((unsigned char)hash[-1]))
            return arena_printf(arena,
                                "%s = %s: a '#' starts a comment at the beginning of a line only: "
                                "write a ';' in its place",
                                o->name, e->value);
    if (is_quoted(e->value))
        return arena_printf(arena, "%s = %s: values are written without quotes", o->name, e->value);
    character = foreign_character(e->value);
    if (character)
        return arena_printf(arena, "%s = %s: remove %s from its beginning or end", o->name,
                            e->value, character);
    if (e->comment && o->kind && o->kind->in_comment && o->kind->in_comment(e->comment))
        return arena_printf(
            arena,
            "%s = %s: the rest of the line is a comment, and '%s' in it would be "
            "lost: write what belongs to the value before the ';', and further values on "
            "indented lines below",
            o->name, e->value, e->comment);
    return NULL;
}

static const char *read_value(struct loader *l, struct section_parser *d,
                              const struct option_row *o, const struct inifile_entry *e)
{
    struct arena *arena = &l->config->arena;
    const struct value_context ctx = {.arena = arena, .where = e->where, .dir = l->dir};
    const char *why = check_writing(arena, o, e);

    if (!why && !*e->value) {
        l->current.empty = o->flags & OPTION_LIST;
        if (!l->current.empty)
            why = arena_printf(arena, "'%s' has no value: give one, or take the line away",
                               o->name);
    } else if (!why) {
        why = strcmp(o->name, "include") == 0 ? add_include(l, e)
                                              : options_set(o, d->target, &ctx, e->value);
    }
    if (why && e->continued)
        why = arena_printf(arena, "%s (an indented line is one more value of '%s' above it)", why,
                           o->name);
    return why;
}

static void read_key(struct loader *l, struct section_parser *d, struct inifile_entry e)
{
    const struct option_row *o;
    const char *why;

    if (e.continued) {
        continue_key(l, d, &e);
    } else {
        end_key(l);
        l->current = (struct current){.key = e.key, .section_parser = d, .where = e.where};
    }
    o = options_find(e.key, d->scope);
    if (!o) {
        if (!e.continued)
            diag_add(l->diags, e.where, "%s",
                     options_explain_key(e.key, d->scope, &l->config->arena));
        return;
    }
    if (d->line[o - options] && !(o->flags & OPTION_LIST)) {
        diag_add(l->diags, e.where,
                 e.continued ? "'%s' takes one value, and an indented line gives it another: "
                               "start a new key at the line's beginning"
                             : "'%s' is given twice in this section",
                 e.key);
        return;
    }
    if (!d->line[o - options])
        d->line[o - options] = e.where.line;
    why = read_value(l, d, o, &e);
    if (why)
        add_wrong(l, d, o, e.where, why);
}

static void read_entries(struct loader *l, const char *path, const struct inifile *file)
{
    struct section_parser *d = NULL;
    size_t i;

    l->dir = file_directory(&l->config->arena, path);
    for (i = 0; i < file->count; i++) {
        if (!file->entries[i].key) {
            end_key(l);
            d = start_section(l, &file->entries[i]);
        } else if (d) {
            read_key(l, d, file->entries[i]);
        }
    }
    end_key(l);
}

static void read_file(struct loader *l, const char *path, enum file_origin origin)
{
    struct config_strings *files = &l->config->files;
    struct arena *arena = &l->config->arena;
    struct inifile file = {0};

    path = arena_strdup(arena, path);
    files->items = arena_grow(arena, files->items, files->count, sizeof(*files->items));
    files->items[files->count++].text = path;
    inifile_read(path, origin, arena, &file, l->diags);
    read_entries(l, path, &file);
}

static void read_includes(struct loader *l)
{
    struct arena *arena = &l->config->arena;
    const char *why;
    size_t i, j;

    l->included = true;
    for (i = 0; i < l->includes.count; i++) {
        const struct config_string *include = &l->includes.items[i];
        struct include_files found = {0};

        why = include_find(arena, l->config->path, include->text, &found);
        if (why)
            diag_add(l->diags, include->where, "%s", why);
        else if (found.count == 0)
            l->unmatched = *include;
        for (j = 0; j < found.count; j++)
            read_file(l, found.paths[j], FILE_CONFIGURED);
    }
}

/* Sets what a section does not say itself from [defaults], which has the built-in ones below. */
static void inherit(const struct section_parser *d, const struct config_section *defaults,
                    struct arena *arena)
{
    size_t i;

    for (i = 0; i < options_count; i++) {
        const struct option_row *o = &options[i];
        const void *theirs = (const char *)defaults + o->offset;
        void *ours = (char *)d->target + o->offset;

        if (o->scope != OPTION_SECTION || !o->size)
            continue;
        if (!d->line[i])
            memcpy(ours, theirs, o->size);
        else if (o->kind->merge)
            o->kind->merge(arena, ours, theirs);
    }
}

/* Whether a key was given wrongly, in the section or in [defaults]: then it is not also missing. */
static bool was_wrong(const struct loader *l, const struct section_parser *d, const char *key)
{
    const struct option_row *o = options_find(key, OPTION_HOST);

    return d->wrong[o - options] || l->defaults.wrong[o - options];
}

/* The line of a draft that sets a key. */
static struct location given_at(const struct section_parser *d, const char *key)
{
    return (struct location){.file = d->where.file,
                             .line = d->line[options_find(key, d->scope) - options]};
}

/* A daemon without any host would close every listener: no configuration is meant so. */
static void check_not_empty(struct loader *l)
{
    const struct location where = {.file = l->config->path};

    if (l->config->count > 0 || l->diags->count > 0)
        return;
    if (l->unmatched.text)
        diag_add(l->diags, l->unmatched.where,
                 "there is no host section: no file matches '%s'; write one, such as 'pinproxy "
                 "fetch HOST --ini' prints, into a file of such a name or into this one",
                 l->unmatched.text);
    else
        diag_add(l->diags, where,
                 "there is no host section: write one, such as 'pinproxy fetch HOST --ini' "
                 "prints");
}

static void finish(struct loader *l)
{
    struct config_section base = {0};
    struct arena *arena = &l->config->arena;
    size_t i;

    options_set_defaults(&base, OPTION_SECTION, arena);
    inherit(&l->defaults, &base, arena);
    l->config->global.state_dir_at = given_at(&l->global, "state_dir");
    if (!l->config->global.state_dir)
        l->config->global.state_dir = PINPROXY_LOCALSTATEDIR "/lib/pinproxy";
    for (i = 0; i < l->config->count; i++) {
        const struct section_parser *d = &l->hosts[i];

        inherit(d, l->defaults.target, arena);
        d->section->config_path = l->config->path;
        if (!d->section->host && !was_wrong(l, d, "host"))
            validate_name(d->section, l->diags);
        config_complete(d->section, arena);
        validate_trust(d->section, d->line, d->section->pins.count > 0 || !was_wrong(l, d, "pin"),
                       l->diags);
        validate_family(d->section, l->diags);
        validate_tls(d->section, l->defaults.target, l->diags);
    }
    config_sort(l->config);
    validate_twice(l->config, l->diags);
    listen_check(l->config, l->diags);
    validate_privileges(l->config, given_at(&l->global, "group"), l->diags);
    check_not_empty(l);
    arena_free(&l->scratch);
}

static void start(struct loader *l, struct diag_list *diags)
{
    struct config *c = xcalloc(1, sizeof(*c));

    memset(l, 0, sizeof(*l));
    l->config = c;
    l->diags = diags;
    options_set_defaults(&c->global, OPTION_GLOBAL, &c->arena);
    l->global.scope = OPTION_GLOBAL;
    l->global.target = &c->global;
    l->defaults.scope = OPTION_SECTION;
    l->defaults.target = arena_alloc(&c->arena, sizeof(struct config_section));
}

struct config *config_load(const char *path, enum file_origin origin, struct diag_list *diags)
{
    struct loader l;

    start(&l, diags);
    l.config->path = arena_strdup(&l.config->arena, path);
    read_file(&l, path, origin);
    read_includes(&l);
    finish(&l);
    return l.config;
}

struct config *config_parse(const char *path, const char *text, size_t len, struct diag_list *diags)
{
    struct inifile file = {0};
    struct loader l;

    start(&l, diags);
    path = l.config->path = arena_strdup(&l.config->arena, path);
    inifile_parse(path, text, len, &l.config->arena, &file, diags);
    read_entries(&l, path, &file);
    read_includes(&l);
    finish(&l);
    return l.config;
}

struct config *config_new_adhoc(const char *name, struct config_section **section)
{
    struct config *c = xcalloc(1, sizeof(*c));
    struct config_section *s = arena_alloc(&c->arena, sizeof(*s));

    options_set_defaults(&c->global, OPTION_GLOBAL, &c->arena);
    options_set_defaults(s, OPTION_SECTION, &c->arena);
    c->global.state_dir = PINPROXY_LOCALSTATEDIR "/lib/pinproxy";
    s->name = config_bare_name(&c->arena, name);
    s->where.file = "command line";
    config_complete(s, &c->arena);
    c->sections = arena_grow(&c->arena, NULL, 0, sizeof(struct config_section *));
    c->sections[c->count++] = s;
    *section = s;
    return c;
}
