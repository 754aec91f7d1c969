#include "config/section.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/hostname.h"

bool config_is_reserved(const char *name)
{
    return strcasecmp(name, "global") == 0 || strcasecmp(name, "defaults") == 0
           || strcasecmp(name, "proxy") == 0;
}

const char *config_bare_name(struct arena *arena, const char *name)
{
    return arena_strndup(arena, name, hostname_length(name));
}

void config_complete(struct config_section *s, struct arena *arena)
{
    if (!s->host)
        s->host = config_bare_name(arena, s->name);
    if (!s->verify_name)
        s->verify_name = arena_strndup(arena, s->host, strcspn(s->host, "%"));
    if (s->sni && strcmp(s->sni, "off") == 0)
        s->sni = NULL;
    else if (!s->sni && !hostname_is_ip(s->host))
        s->sni = s->host;
}

enum config_client config_client(const struct config_section *s)
{
    if (s->client != CLIENT_UNSET)
        return s->client;
    return s->starttls == STARTTLS_POSTGRES ? CLIENT_POSTGRES : CLIENT_RAW;
}

const struct config_line *config_find_line(const struct config_lines *lines, const char *option)
{
    size_t i;

    for (i = 0; i < lines->count; i++)
        if (strcmp(lines->items[i].option, option) == 0)
            return &lines->items[i];
    return NULL;
}

struct location config_set_at(const struct config_lines *lines, const char *option)
{
    const struct config_line *line = config_find_line(lines, option);

    return (struct location){.file = lines->file, .line = line ? line->line : 0};
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

static int compare_names(const void *a, const void *b)
{
    const struct config_section *x = *(struct config_section *const *)a;
    const struct config_section *y = *(struct config_section *const *)b;

    return hostname_compare(x->name, y->name);
}

void config_sort(struct config *c)
{
    /* a merge sort in glibc: sections of the same name keep the order of the files */
    if (c->count)
        qsort(c->sections, c->count, sizeof(struct config_section *), compare_names);
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
