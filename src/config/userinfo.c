#include "config/userinfo.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/util.h"
#include "config/secret.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes n bytes. Returns NULL if an escape is malformed, or is a NUL byte. */
static char *decode(const char *text, size_t n, struct arena *arena)
{
    char *out = arena_strndup(arena, text, n);
    size_t i, len = 0;

    for (i = 0; i < n; i++) {
        if (text[i] == '%') {
            const int high = i + 2 < n ? hex_digit(text[i + 1]) : -1;
            const int low = i + 2 < n ? hex_digit(text[i + 2]) : -1;

            if (high < 0 || low < 0 || (high == 0 && low == 0))
                return NULL;
            out[len++] = (char)(high * 16 + low);
            i += 2;
        } else {
            out[len++] = text[i];
        }
    }
    out[len] = '\0';
    return out;
}

static const char *read_password(const char *text, size_t n, const char *dir, struct arena *arena,
                                 const char **out)
{
    static const char prefix[] = "file:";
    const size_t len = strlen(prefix);

    if (n >= len && memcmp(text, prefix, len) == 0)
        return secret_read(arena_strndup(arena, text + len, n - len), dir, arena, out);
    *out = decode(text, n, arena);
    if (*out && strlen(*out) > SECRET_MAX)
        return "the password is longer than 1024 bytes";
    return *out ? NULL
                : "the password has a '%' without two hexadecimal digits behind it: write '%' as "
                  "%25";
}

const char *userinfo_parse(const char *text, const char *dir, struct arena *arena,
                           struct userinfo *out, const char **rest)
{
    const char *at = strrchr(text, '@');
    const char *colon = at ? memchr(text, ':', (size_t)(at - text)) : NULL;
    struct userinfo c = {0};
    const char *why;

    if (!at) {
        *out = c;
        *rest = text;
        return NULL;
    }
    if (!colon || colon == text)
        return "there must be a user and a password before the '@'";
    c.user = decode(text, (size_t)(colon - text), arena);
    if (!c.user)
        return "the user has a '%' without two hexadecimal digits behind it: write '%' as %25";
    if (strlen(c.user) > SECRET_MAX)
        return "the user is longer than 1024 bytes";
    why = read_password(colon + 1, (size_t)(at - colon - 1), dir, arena, &c.password);
    if (why)
        return why;
    *out = c;
    *rest = at + 1;
    return NULL;
}

/* A port, perhaps with a path behind it, as in a value that has no credentials. */
static bool is_port(const char *text)
{
    const size_t n = strspn(text, "0123456789");

    return text[n] == '\0' || (n > 0 && text[n] == '/');
}

/* Values of these schemes have no credentials, but perhaps these characters. */
static bool has_none(const char *value)
{
    static const char *const schemes[] = {"exec:", "serial:", "unix:", "vsock:"};
    size_t i;

    for (i = 0; i < COUNT_OF(schemes); i++)
        if (strncasecmp(value, schemes[i], strlen(schemes[i])) == 0)
            return true;
    return false;
}

/* Returns where the host or the credentials of a value begin, which may lack the slashes. */
static const char *find_authority(const char *value)
{
    static const char section[] = "section:";
    const char *slashes = strstr(value, "://"), *colon = strchr(value, ':');
    const char *at = strrchr(value, '@');

    if (slashes)
        return slashes + 3;
    if (strncasecmp(value, section, strlen(section)) == 0)
        return value + strlen(section);
    /* "socks5:USER:PASSWORD@" or "USER:PASSWORD@" */
    return colon && at > colon && memchr(colon + 1, ':', (size_t)(at - colon - 1)) ? colon + 1
                                                                                   : value;
}

const char *userinfo_conceal(const char *value, struct arena *arena)
{
    const char *start = find_authority(value), *at = strrchr(start, '@'), *colon;

    if (!at && *start == '[' && strchr(start, ']'))
        start = strchr(start, ']');
    colon = strchr(start, ':');
    if (!colon || has_none(value) || (at && colon > at)
        || (!at && (!strstr(value, "://") || is_port(colon + 1))))
        return arena_strdup(arena, value);
    return arena_printf(arena, "%.*s:***%s", (int)(colon - value), value, at ? at : "");
}
