#include "config/via.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/addr.h"
#include "base/baud.h"
#include "base/file.h"
#include "base/foreign.h"
#include "base/hostname.h"
#include "base/mem.h"
#include "base/program.h"
#include "base/units.h"
#include "base/util.h"
#include "config/userinfo.h"
#include "config/words.h"

/* What the parser of a scheme works on. */
struct via_context {
    const char *rest; /* of the value, after the prefix */
    const char *dir;  /* to which paths are relative */
    struct arena *arena;
};

/* Sets the scheme's own fields. Returns NULL, or what would have been right. */
typedef const char *via_parser(const struct via_context *ctx, struct config_via *out);

static const char *take_userinfo(const struct via_context *ctx, struct config_via *out,
                                 const char **rest)
{
    struct userinfo c;
    const char *why = userinfo_parse(ctx->rest, ctx->dir, ctx->arena, &c, rest);

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
    const char *rest, *why = take_userinfo(ctx, out, &rest);

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

/* Returns true if a path continues as a value of `listen` may, with a mode or an owner. */
static bool has_listen_option(const char *path)
{
    const char *comma = strchr(path, ',');

    for (; comma; comma = strchr(comma + 1, ',')) {
        const char *word = comma + 1 + strspn(comma + 1, " \t");

        if (strncmp(word, "mode=", 5) == 0 || strncmp(word, "user=", 5) == 0
            || strncmp(word, "group=", 6) == 0)
            return true;
    }
    return false;
}

static const char *parse_unix(const struct via_context *ctx, struct config_via *out)
{
    struct addr to;

    if (!*ctx->rest)
        return "expected unix:PATH, such as unix:/run/postgresql/.s.PGSQL.5432";
    if (*ctx->rest == '@')
        return arena_printf(ctx->arena,
                            "expected unix:PATH: abstract sockets are not supported, because they "
                            "have no owner and no mode (for a file of this name: unix:./%s)",
                            ctx->rest);
    if (has_listen_option(ctx->rest))
        return "expected unix:PATH alone: mode=, user= and group= are for a socket of 'listen'";
    out->path = file_resolve(ctx->arena, ctx->dir, ctx->rest);
    if (!addr_from_unix(&to, out->path))
        return "expected a shorter path: the kernel takes at most 107 bytes (unix(7))";
    return NULL;
}

/* Reads a number of 32 bits, whose highest value means "any" (vsock(7)). */
static bool read_vsock_number(const char *text, uint32_t *out)
{
    long n;

    if (units_number(text, 0, UINT32_MAX - 1L, &n))
        return false;
    *out = (uint32_t)n;
    return true;
}

static const char *parse_vsock(const struct via_context *ctx, struct config_via *out)
{
    char *cid = arena_strdup(ctx->arena, ctx->rest), *port = strchr(cid, ':');

    if (port)
        *port++ = '\0';
    if (!port || !read_vsock_number(cid, &out->cid) || !read_vsock_number(port, &out->vsock_port))
        return "expected vsock:CID:PORT, two numbers such as vsock:3:5432 (CID 2 is the host)";
    return NULL;
}

/* Returns true if a speed follows a colon. */
static bool ends_in_speed(const char *device)
{
    const char *colon = strrchr(device, ':');
    speed_t speed;
    long baud;

    return colon && units_number(colon + 1, 0, LONG_MAX, &baud) == NULL && baud_find(baud, &speed);
}

static const char *parse_serial(const struct via_context *ctx, struct config_via *out)
{
    char *device = arena_strdup(ctx->arena, ctx->rest), *baud = strrchr(device, ',');
    speed_t speed;

    out->baud = BAUD_DEFAULT;
    if (baud)
        *baud++ = '\0';
    if (!*device)
        return "expected serial:DEVICE[,BAUD], such as serial:/dev/ttyUSB0,115200";
    if (baud && strpbrk(ctx->rest, " \t"))
        return "expected serial:DEVICE,BAUD without blanks, such as serial:/dev/ttyUSB0,115200";
    if (!baud && ends_in_speed(device))
        return "expected a comma before the speed, such as serial:/dev/ttyUSB0,115200";
    if (baud && (units_number(baud, 0, LONG_MAX, &out->baud) || !baud_find(out->baud, &speed)))
        return "expected a speed after the comma that serial lines have: 9600, 19200, 38400, "
               "57600, 115200, 230400, 460800, 921600 or another one of termios(3)";
    out->path = file_resolve(ctx->arena, ctx->dir, device);
    return NULL;
}

static const char *parse_exec(const struct via_context *ctx, struct config_via *out)
{
    char path[PATH_MAX];
    const char *why, *name;
    const char **words;
    size_t count;
    int error;

    why = words_split(ctx->rest, ctx->arena, &words, &count);
    if (why)
        return arena_printf(ctx->arena, "expected a command: %s", why);
    if (count == 0 || !*words[0])
        return "expected exec:COMMAND ARGS, such as exec:ssh -W db.example.com:5432 gateway";
    name = strchr(words[0], '/') ? file_resolve(ctx->arena, ctx->dir, words[0]) : words[0];
    error = program_find(name, path);
    if (error)
        return arena_printf(ctx->arena, "expected a program that can be executed: %s: %s%s", name,
                            strerror(error), name == words[0] ? " in any directory of PATH" : "");
    words[0] = arena_strdup(ctx->arena, path);
    out->argv = words;
    return NULL;
}

static const char *parse_section(const struct via_context *ctx, struct config_via *out)
{
    const char *name, *why = take_userinfo(ctx, out, &name);

    if (!why)
        why = check_basic(out);
    if (!why && !*name)
        why = "there is no name";
    if (why)
        return arena_printf(ctx->arena, "expected section:[USER:PASSWORD@]NAME: %s", why);
    out->section = arena_strndup(ctx->arena, name, hostname_length(name));
    return NULL;
}

/* A value begins with the prefix, in any case. Without a parser the prefix is the whole value. */
static const struct scheme {
    const char *prefix;
    via_parser *parse;
} schemes[] = {
    [VIA_TCP] = {"tcp", NULL},
    [VIA_UNIX] = {"unix:", parse_unix},
    [VIA_VSOCK] = {"vsock:", parse_vsock},
    [VIA_SOCKS5] = {"socks5://", parse_socks5},
    [VIA_HTTP] = {"http://", parse_http},
    [VIA_EXEC] = {"exec:", parse_exec},
    [VIA_SERIAL] = {"serial:", parse_serial},
    [VIA_SECTION] = {"section:", parse_section},
};

static const char *list_schemes(const char *value, struct arena *arena)
{
    const char *list = NULL, *advice = foreign_via(value);
    size_t i;

    for (i = 0; i < COUNT_OF(schemes); i++)
        list = arena_printf(arena, "%s%s%s", list ? list : "", list ? ", " : "", schemes[i].prefix);
    return arena_printf(arena, "expected %s%s%s", list, advice ? "; " : "", advice ? advice : "");
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
        struct config_via via = {.scheme = (enum via)i, .text = userinfo_conceal(value, arena)};
        const char *why;

        if (!is_scheme(s, value))
            continue;
        why = s->parse ? s->parse(&ctx, &via) : NULL;
        if (!why)
            *out = via;
        return why;
    }
    return list_schemes(value, arena);
}
