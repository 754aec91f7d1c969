#include "config/store.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "config/secret.h"

/* Returns the length of the scheme of a URI (RFC 3986 section 3.1), or 0 if there is none. */
static size_t scheme_length(const char *text)
{
    size_t n = 0;

    if (!isalpha((unsigned char)text[0]))
        return 0;
    while (isalnum((unsigned char)text[n]) || (text[n] && strchr("+-.", text[n])))
        n++;
    return text[n] == ':' ? n : 0;
}

bool store_is_uri(const char *text)
{
    return scheme_length(text) > 0;
}

static const char *parse_path(const char *value, const char *dir, struct arena *arena,
                              const char **out)
{
    const char *path = secret_path(value, dir, arena);

    if (!path)
        return "%d/ is systemd's credentials directory, and CREDENTIALS_DIRECTORY is not set: "
               "write LoadCredential= in the unit; to check by hand, set it to "
               "/run/credentials/pinproxyd.service";
    if (!*value || strcmp(value, "%d/") == 0)
        return "expected the name of a file";
    /* a relative directory may have a colon too */
    *out = store_is_uri(path) ? arena_printf(arena, "./%s", path) : path;
    return NULL;
}

const char *store_parse_file(const char *value, const char *dir, struct arena *arena,
                             const char **out)
{
    if (strncmp(value, "file:", 5) != 0)
        return "expected file:PATH, the file whose first line is the password";
    value += 5;
    /* RFC 8089 section 2: an authority, which must be empty, and then an absolute path */
    if (strncmp(value, "//", 2) == 0 && *(value += 2) != '/')
        return "expected file:PATH or file:///PATH, without the name of a host";
    return parse_path(value, dir, arena, out);
}

const char *store_parse(const char *value, const char *dir, struct arena *arena, const char **out)
{
    if (strncmp(value, "file:", 5) == 0)
        return store_parse_file(value, dir, arena, out);
    if (!store_is_uri(value))
        return parse_path(value, dir, arena, out);
    *out = arena_strdup(arena, value);
    return NULL;
}

/*
 * Returns how much of a URI may be printed: all before the query, which has the PIN of a token
 * (RFC 7512 section 2.4), and before a PIN that was written among the attributes of the path.
 */
static size_t printable_length(const char *uri)
{
    size_t n = 0;

    while (uri[n] && uri[n] != '?'
           && !(strchr(":;&", uri[n]) && strncasecmp(uri + n + 1, "pin", 3) == 0))
        n++;
    return n;
}

const char *store_printable(const char *text, struct arena *arena)
{
    return arena_strndup(arena, text, store_is_uri(text) ? printable_length(text) : strlen(text));
}

typedef const char *parse_text(const char *value, const char *dir, struct arena *arena,
                               const char **out);

static const char *parse_into(const struct value_context *ctx, struct config_string *field,
                              const char *value, parse_text *parse)
{
    const char *why = parse(value, ctx->dir, ctx->arena, &field->text);

    if (!why)
        field->where = ctx->where;
    return why;
}

/* off is for the section of a server that the certificate of [defaults] is not meant for. */
static const char *parse_client_cert(const struct value_context *ctx,
                                     const struct value_range *range, void *field,
                                     const char *value)
{
    (void)range;
    if (strcasecmp(value, "off") != 0)
        return parse_into(ctx, field, value, store_parse);
    *(struct config_string *)field = (struct config_string){.text = NULL};
    return NULL;
}

static const char *parse_client_key(const struct value_context *ctx,
                                    const struct value_range *range, void *field, const char *value)
{
    (void)range;
    return parse_into(ctx, field, value, store_parse);
}

static const char *parse_password_file(const struct value_context *ctx,
                                       const struct value_range *range, void *field,
                                       const char *value)
{
    (void)range;
    return parse_into(ctx, field, value, store_parse_file);
}

/* Without the prefix, the value may be the password itself. */
static const char *conceal_password(const char *value, struct arena *arena)
{
    return arena_strdup(arena, strncmp(value, "file:", 5) == 0 ? value : "***");
}

#define KIND(name, show)                                                                           \
    const struct value_kind store_##name = {.parse = parse_##name,                                 \
                                            .canonical = canonical_string,                         \
                                            .conceal = (show),                                     \
                                            .size = sizeof(struct config_string)}

KIND(client_cert, store_printable);
KIND(client_key, store_printable);
KIND(password_file, conceal_password);
