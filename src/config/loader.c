#include "config/loader.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/foreign.h"
#include "base/hostname.h"
#include "base/util.h"
#include "config/include.h"
#include "config/inifile.h"
#include "config/optionname.h"
#include "config/options.h"
#include "config/validate.h"

/* The section that is being read. */
struct section_parser {
    enum option_scope scope;
    void *target; /* struct config_global or struct config_section; NULL: no section */
    struct config_lines *lines; /* those of target */
};

/* The option that the current line sets. */
struct current {
    const char *key;
    struct location where;
    bool empty; /* it has no value yet */
};

struct loader {
    struct config *config;
    struct diag_list *diags;
    struct config_section defaults;
    struct location global_at; /* the headers; .file NULL: there was none */
    struct location defaults_at;
    struct section_parser section;
    struct current current;
    struct config_strings includes;
    struct config_string unmatched; /* a pattern that no file matches, if there is one */
    bool included;                  /* reading an included file */
    const char *dir;
};

static void start_host(struct loader *l, const struct inifile_entry *header)
{
    struct config *c = l->config;
    struct config_section *s;
    const char *why;

    if (config_is_reserved(header->section)) {
        diag_add(l->diags, header->where,
                 "unknown section [%s]: write [global], [defaults] and [proxy] in lower case",
                 header->section);
        return;
    }
    why = foreign_host(header->section);
    if (why) {
        diag_add(l->diags, header->where, "section name '%s' %s", header->section, why);
        return;
    }
    if (strchr(header->section, ':') && !hostname_is_ip(header->section)) {
        diag_add(l->diags, header->where,
                 "unknown kind of section [%s]: expected [global], [defaults] or [HOST]",
                 header->section);
        return;
    }
    s = arena_alloc(&c->arena, sizeof(*s));
    s->name = config_bare_name(&c->arena, header->section);
    s->where = header->where;
    s->config_path = c->path;
    c->sections = arena_grow(&c->arena, c->sections, c->count, sizeof(struct config_section *));
    c->sections[c->count++] = s;
    l->section = (struct section_parser){OPTION_HOST, s, &s->lines};
}

/* Starts [global] or [defaults]. *at: its header, if it has been read before. */
static void start_once(struct loader *l, const struct inifile_entry *header, struct location *at,
                       struct section_parser section)
{
    if (at->file) {
        diag_add(l->diags, header->where, "section [%s] is already defined at %s:%u: merge the two",
                 header->section, at->file, at->line);
        return;
    }
    *at = header->where;
    l->section = section;
}

/* Starts the section of this header. If it is wrong, its options are not read. */
static void start_section(struct loader *l, const struct inifile_entry *header)
{
    struct config_global *global = &l->config->global;
    const char *name = header->section;

    l->section.target = NULL;
    if (strcmp(name, "global") == 0)
        start_once(l, header, &l->global_at,
                   (struct section_parser){OPTION_GLOBAL, global, &global->lines});
    else if (strcmp(name, "defaults") == 0)
        start_once(l, header, &l->defaults_at,
                   (struct section_parser){OPTION_SECTION, &l->defaults, &l->defaults.lines});
    else if (strcmp(name, "proxy") == 0 || starts_with(name, "proxy:"))
        diag_add(l->diags, header->where, "section [%s] is not supported yet", name);
    else
        start_host(l, header);
    if (l->section.target)
        l->section.lines->file = header->where.file;
}

/* Returns the line of an option, or NULL if the section has not set it so far. */
static struct config_line *find_line(const struct config_lines *lines, const struct option_row *o)
{
    size_t i;

    for (i = 0; i < lines->count; i++)
        if (lines->items[i].option == o->name)
            return &lines->items[i];
    return NULL;
}

static struct config_line *add_line(struct loader *l, const struct option_row *o, unsigned number)
{
    struct config_lines *lines = l->section.lines;
    struct config_line *line;

    lines->items = arena_grow(&l->config->arena, lines->items, lines->count, sizeof(*line));
    line = &lines->items[lines->count++];
    *line = (struct config_line){.option = o->name, .line = number};
    return line;
}

static const char *add_include(struct loader *l, const struct inifile_entry *e)
{
    struct arena *arena = &l->config->arena;

    if (l->included)
        return "include in an included file: move it to the main file";
    l->includes.items = arena_grow(arena, l->includes.items, l->includes.count,
                                   sizeof(*l->includes.items));
    l->includes.items[l->includes.count].text = arena_strdup(arena, e->value);
    l->includes.items[l->includes.count].where = e->where;
    l->includes.count++;
    return NULL;
}

/* Ends the current option. A list without a value on its first line must have had indented lines. */
static void end_option(struct loader *l)
{
    const struct current *c = &l->current;

    if (c->empty) {
        struct config_line *line = find_line(l->section.lines,
                                             options_find(c->key, l->section.scope));

        line->line = 0;
        line->wrong = true;
        diag_add(l->diags, c->where,
                 "'%s' has no value, and no indented lines with values follow: add a value "
                 "or remove the line",
                 c->key);
    }
    memset(&l->current, 0, sizeof(l->current));
}

/* Reads an indented line: one more value of the current option, or an option indented by mistake. */
static void continue_option(struct loader *l, struct inifile_entry *e)
{
    const char *value, *key = optionname_find(e->value, &value);

    if (key) {
        diag_add(l->diags, e->where,
                 "'%s' is indented: remove the blanks and tabs before it, because an indented line "
                 "adds a value to the option above it",
                 key);
        end_option(l);
        e->value = value;
        e->continued = false;
        l->current = (struct current){.key = key, .where = e->where};
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

/* Returns what is wrong with how a value is written, for any option; or NULL. */
static const char *check_writing(struct arena *arena, const struct option_row *o,
                                 const struct inifile_entry *e)
{
    const char *shown = options_shown(o, e->value, arena), *hash, *character;

    if (*e->value == ';')
        return arena_printf(arena,
                            "%s =%s: a ';' directly after '=' does not start a comment: put a "
                            "blank before it",
                            o->name, shown);
    for (hash = e->value; (hash = strchr(hash, '#')); hash++)
        if (hash == e->value || isspace((unsigned char)hash[-1]))
            return arena_printf(arena,
                                "%s = %s: a '#' starts a comment only at the beginning of a line: "
                                "use ';' here",
                                o->name, shown);
    if (is_quoted(e->value))
        return arena_printf(arena, "%s = %s: remove the quotes: values have none", o->name, shown);
    character = foreign_character(e->value);
    if (character)
        return arena_printf(arena, "%s = %s: the value begins or ends with %s: remove it", o->name,
                            shown, character);
    if (e->comment && o->kind && o->kind->in_comment && o->kind->in_comment(e->comment))
        return arena_printf(
            arena,
            "%s = %s: '%s' is a comment, and would be lost: write parts of the value before "
            "the ';', and more values on indented lines below",
            o->name, shown, e->comment);
    return NULL;
}

static const char *read_value(struct loader *l, const struct option_row *o,
                              const struct inifile_entry *e)
{
    struct arena *arena = &l->config->arena;
    const struct value_context ctx = {.arena = arena, .where = e->where, .dir = l->dir};
    const char *why = check_writing(arena, o, e);

    if (!why && !*e->value) {
        l->current.empty = o->flags & OPTION_LIST;
        if (!l->current.empty)
            why = arena_printf(arena, "'%s' has no value: add one or remove the line", o->name);
    } else if (!why) {
        why = strcmp(o->name, "include") == 0 ? add_include(l, e)
                                              : options_set(o, l->section.target, &ctx, e->value);
    }
    if (why && e->continued)
        why = arena_printf(arena, "%s (an indented line is one more value of '%s' above it)", why,
                           o->name);
    return why;
}

static void read_option(struct loader *l, struct inifile_entry e)
{
    const struct option_row *o;
    struct config_line *line;
    const char *why;

    if (e.continued) {
        continue_option(l, &e);
    } else {
        end_option(l);
        l->current = (struct current){.key = e.key, .where = e.where};
    }
    o = options_find(e.key, l->section.scope);
    if (!o) {
        if (!e.continued)
            diag_add(l->diags, e.where, "%s",
                     optionname_explain(e.key, l->section.scope, &l->config->arena));
        return;
    }
    line = find_line(l->section.lines, o);
    if (line && line->line && !(o->flags & OPTION_LIST)) {
        diag_add(l->diags, e.where,
                 e.continued ? "'%s' takes one value, but this indented line adds another: "
                               "remove the indentation to start a new option"
                             : "'%s' is set twice in this section: remove one of the lines",
                 e.key);
        return;
    }
    if (!line)
        line = add_line(l, o, e.where.line);
    else if (!line->line)
        line->line = e.where.line;
    why = read_value(l, o, &e);
    if (why) {
        diag_add(l->diags, e.where, "%s", why);
        line->wrong = true;
    }
}

static void read_entries(struct loader *l, const char *path, const struct inifile *file)
{
    size_t i;

    l->dir = file_directory(&l->config->arena, path);
    l->section.target = NULL;
    for (i = 0; i < file->count; i++) {
        if (!file->entries[i].key) {
            end_option(l);
            start_section(l, &file->entries[i]);
        } else if (l->section.target) {
            read_option(l, file->entries[i]);
        }
    }
    end_option(l);
}

static void load_file(struct loader *l, const char *path, enum file_origin origin)
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

static void load_includes(struct loader *l)
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
            load_file(l, found.paths[j], FILE_CONFIGURED);
    }
}

/* Sets the options that a section does not set to the values of [defaults]. */
static void inherit(struct config_section *s, const struct config_section *defaults,
                    struct arena *arena)
{
    size_t i;

    for (i = 0; i < options_count; i++) {
        const struct option_row *o = &options[i];
        const void *theirs = (const char *)defaults + o->offset;
        void *ours = (char *)s + o->offset;
        const struct config_line *line;

        if (o->scope != OPTION_SECTION || !o->size)
            continue;
        line = find_line(&s->lines, o);
        if (!line || !line->line)
            memcpy(ours, theirs, o->size);
        else if (o->kind->merge)
            o->kind->merge(arena, ours, theirs);
    }
}

static void set_global_defaults(struct config *c)
{
    options_set_defaults(&c->global, OPTION_GLOBAL, &c->arena);
    c->global.state_dir = PINPROXY_LOCALSTATEDIR "/lib/pinproxy";
}

static void finish_load(struct loader *l)
{
    struct config_section built_in = {0};
    struct config *c = l->config;
    size_t i;

    options_set_defaults(&built_in, OPTION_SECTION, &c->arena);
    inherit(&l->defaults, &built_in, &c->arena);
    for (i = 0; i < c->count; i++) {
        inherit(c->sections[i], &l->defaults, &c->arena);
        config_complete(c->sections[i], &c->arena);
        validate_section(c->sections[i], &l->defaults, l->diags);
    }
    config_sort(c);
    validate_config(c, l->unmatched.text ? &l->unmatched : NULL, l->diags);
}

static void start_load(struct loader *l, const char *path, struct diag_list *diags)
{
    struct config *c = xcalloc(1, sizeof(*c));

    memset(l, 0, sizeof(*l));
    l->config = c;
    l->diags = diags;
    c->path = arena_strdup(&c->arena, path);
    set_global_defaults(c);
}

struct config *config_load(const char *path, enum file_origin origin, struct diag_list *diags)
{
    struct loader l;

    start_load(&l, path, diags);
    load_file(&l, path, origin);
    load_includes(&l);
    finish_load(&l);
    return l.config;
}

struct config *config_parse(const char *path, const char *text, size_t len, struct diag_list *diags)
{
    struct inifile file = {0};
    struct loader l;

    start_load(&l, path, diags);
    inifile_parse(l.config->path, text, len, &l.config->arena, &file, diags);
    read_entries(&l, l.config->path, &file);
    load_includes(&l);
    finish_load(&l);
    return l.config;
}

struct config *config_new_adhoc(const char *name, struct config_section **section)
{
    struct config *c = xcalloc(1, sizeof(*c));
    struct config_section *s = arena_alloc(&c->arena, sizeof(*s));

    set_global_defaults(c);
    options_set_defaults(s, OPTION_SECTION, &c->arena);
    s->name = config_bare_name(&c->arena, name);
    s->where.file = "command line";
    config_complete(s, &c->arena);
    c->sections = arena_grow(&c->arena, NULL, 0, sizeof(struct config_section *));
    c->sections[c->count++] = s;
    *section = s;
    return c;
}
