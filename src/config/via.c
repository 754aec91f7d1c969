#include "config/via.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/util.h"

/* What the parser of a scheme works on. */
struct via_context {
    const char *rest; /* of the value, after the prefix */
    const char *dir;  /* to which paths are relative */
    struct arena *arena;
};

/* Sets the scheme's own fields. Returns NULL, or what would have been right. */
typedef const char *via_parser(const struct via_context *ctx, struct config_via *out);

static const char *parse_later(const struct via_context *ctx, struct config_via *out)
{
    (void)ctx;
    (void)out;
    return "not supported yet";
}

/* A value begins with the prefix, in any case. Without a parser the prefix is the whole value. */
static const struct scheme {
    const char *prefix;
    via_parser *parse;
} schemes[] = {
    [VIA_TCP] = {"tcp", NULL},
    [VIA_UNIX] = {"unix:", parse_later},
    [VIA_VSOCK] = {"vsock:", parse_later},
    [VIA_SOCKS5] = {"socks5://", parse_later},
    [VIA_HTTP] = {"http://", parse_later},
    [VIA_EXEC] = {"exec:", parse_later},
    [VIA_SERIAL] = {"serial:", parse_later},
    [VIA_SECTION] = {"section:", parse_later},
};

static const char *list_schemes(struct arena *arena)
{
    const char *list = NULL;
    size_t i;

    for (i = 0; i < COUNT_OF(schemes); i++)
        if (schemes[i].parse != parse_later)
            list = arena_printf(arena, "%s%s%s", list ? list : "", list ? ", " : "",
                                schemes[i].prefix);
    return arena_printf(arena, "expected %s", list);
}

static bool is_scheme(const struct scheme *s, const char *value)
{
    return s->parse ? strncasecmp(value, s->prefix, strlen(s->prefix)) == 0
                    : strcasecmp(value, s->prefix) == 0;
}

const char *via_parse(const char *value, const char *dir, struct arena *arena,
                      struct config_via *out)
{
    size_t i;

    for (i = 0; i < COUNT_OF(schemes); i++) {
        const struct scheme *s = &schemes[i];
        const struct via_context ctx = {value + strlen(s->prefix), dir, arena};
        struct config_via via = {.scheme = (enum via)i, .text = arena_strdup(arena, value)};
        const char *why;

        if (!is_scheme(s, value))
            continue;
        why = s->parse ? s->parse(&ctx, &via) : NULL;
        if (!why)
            *out = via;
        return why;
    }
    return list_schemes(arena);
}
