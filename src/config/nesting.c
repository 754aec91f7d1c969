#include "config/nesting.h"

#include <string.h>
#include <strings.h>

#include "base/strbuf.h"

/* Returns the section that another one names, or NULL. */
static const struct config_section *find_outer(const struct config *c,
                                               const struct config_section *s)
{
    const size_t i = s->via.section ? config_find(c, s->via.section) : c->count;

    return i < c->count ? c->sections[i] : NULL;
}

static struct location where_via(const struct config_section *s)
{
    const struct location where = config_set_at(&s->lines, "via");

    return where.line ? where : s->where;
}

/* CONNECT is a request of HTTP/1.1. Without ALPN the server assumes it. */
static bool speaks_http(const struct config_section *s)
{
    size_t i;

    for (i = 0; i < s->alpn.count; i++)
        if (strcmp(s->alpn.items[i].text, "http/1.1") == 0)
            return true;
    return s->alpn.count == 0;
}

static bool is_wildcard(const struct config_section *s)
{
    return strncmp(s->name, "*.", 2) == 0 || strncmp(s->host, "*.", 2) == 0;
}

static void check_outer(const struct config_section *s, const struct config_section *outer,
                        struct diag_list *diags)
{
    if (!outer)
        diag_add(diags, where_via(s),
                 "via = %s: there is no section [%s]: add it with the host of the HTTPS proxy and "
                 "its pins",
                 s->via.text, s->via.section);
    else if (is_wildcard(outer))
        diag_add(diags, where_via(s),
                 "via = %s: [%s] has no host of its own to connect to: name a section without '*'",
                 s->via.text, outer->name);
    else if (!speaks_http(outer))
        diag_add(diags, where_via(s),
                 "via = %s: [%s] offers an 'alpn' without http/1.1, in which the proxy is asked: "
                 "add http/1.1 there, or remove its 'alpn'",
                 s->via.text, outer->name);
}

/* Walks from a section to those that it is inside of. Reports a circle that it is a part of. */
static void check_chain(const struct config *c, const struct config_section *s,
                        struct diag_list *diags)
{
    const struct config_section *at = find_outer(c, s);
    struct strbuf names = {0};
    size_t depth;

    strbuf_addf(&names, "[%s]", s->name);
    for (depth = 1; at && at != s && depth <= c->count; depth++) {
        strbuf_addf(&names, " via [%s]", at->name);
        at = find_outer(c, at);
    }
    if (at == s)
        diag_add(diags, where_via(s),
                 "via = %s: a circle of sections, %s via [%s]: set another 'via' in one of them",
                 s->via.text, strbuf_text(&names), s->name);
    else if (!at && depth - 1 > NESTING_MAX)
        diag_add(diags, where_via(s),
                 "via = %s: more than %d sections, one inside the other, %s: leave one out",
                 s->via.text, NESTING_MAX, strbuf_text(&names));
    strbuf_free(&names);
}

void nesting_check(const struct config *c, struct diag_list *diags)
{
    size_t i;

    for (i = 0; i < c->count; i++) {
        const struct config_section *s = c->sections[i];

        if (!s->via.section)
            continue;
        check_outer(s, find_outer(c, s), diags);
        check_chain(c, s, diags);
    }
}
