#include "config/via.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/addr.h"
#include "base/hostname.h"
#include "base/mem.h"
#include "base/util.h"
#include "config/credentials.h"

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

static const char *take_credentials(const struct via_context *ctx, struct config_via *out,
                                    const char **rest)
{
    struct credentials c;
    const char *why = credentials_parse(ctx->rest, ctx->dir, ctx->arena, &c, rest);

    if (why)
        return why;
    out->user = c.user;
    out->password = c.password;
    return NULL;
}

/* Reads "[USER:PASSWORD@]HOST:PORT". */
static const char *parse_parent(const struct via_context *ctx, struct config_via *out)
{
    char host[HOSTNAME_MAX + 2];
    uint16_t port = 0;
    const char *rest, *why = take_credentials(ctx, out, &rest);

    if (!why)
        why = addr_split(rest, host, sizeof(host), &port);
    if (!why && port == 0)
        why = "there is no port";
    if (!why)
        why = hostname_check(host);
    if (why)
        return why;
    out->host = arena_strdup(ctx->arena, host);
    out->port = port;
    return NULL;
}

static bool has_control_byte(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

/* RFC 7617 section 2. */
static const char *check_basic(const struct config_via *via)
{
    if (!via->user)
        return NULL;
    if (strchr(via->user, ':'))
        return "a user of HTTP's Basic authentication has no ':'";
    if (has_control_byte(via->user) || has_control_byte(via->password))
        return "a user and a password of HTTP's Basic authentication have no control bytes";
    return NULL;
}

/* RFC 1929 section 2: lengths of one byte. */
static const char *check_socks5(const struct config_via *via)
{
    if (!via->user)
        return NULL;
    if (strlen(via->user) > 255 || !*via->password || strlen(via->password) > 255)
        return "a user and a password of SOCKS5 have 1 to 255 bytes";
    return NULL;
}

static const char *parse_socks5(const struct via_context *ctx, struct config_via *out)
{
    const char *why = parse_parent(ctx, out);

    if (!why)
        why = check_socks5(out);
    return why ? arena_printf(ctx->arena, "expected socks5://[USER:PASSWORD@]HOST:PORT: %s", why)
               : NULL;
}

static const char *parse_http(const struct via_context *ctx, struct config_via *out)
{
    const char *why = parse_parent(ctx, out);

    if (!why)
        why = check_basic(out);
    return why ? arena_printf(ctx->arena, "expected http://[USER:PASSWORD@]HOST:PORT: %s", why)
               : NULL;
}

/* A value begins with the prefix, in any case. Without a parser the prefix is the whole value. */
static const struct scheme {
    const char *prefix;
    via_parser *parse;
} schemes[] = {
    [VIA_TCP] = {"tcp", NULL},
    [VIA_UNIX] = {"unix:", parse_later},
    [VIA_VSOCK] = {"vsock:", parse_later},
    [VIA_SOCKS5] = {"socks5://", parse_socks5},
    [VIA_HTTP] = {"http://", parse_http},
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
        struct config_via via = {.scheme = (enum via)i, .text = credentials_conceal(value, arena)};
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
