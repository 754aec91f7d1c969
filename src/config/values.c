#include "config/values.h"

#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/foreign.h"
#include "base/hostname.h"
#include "base/spiffe.h"
#include "base/strbuf.h"
#include "base/units.h"
#include "base/util.h"
#include "config/canonical.h"
#include "config/listen.h"
#include "config/userinfo.h"
#include "config/via.h"
#include "pin/pinvalue.h"

static const char not_yet[] = "not supported yet";

/* Puts "expected" before the hint of a parser in base/. NULL stays NULL. */
static const char *expected(const struct value_context *ctx, const char *what)
{
    return what ? arena_printf(ctx->arena, "expected %s", what) : NULL;
}

static const char *parse_duration(const struct value_context *ctx, const struct value_range *range,
                                  void *field, const char *value)
{
    const char *hint = units_duration(value, field);

    (void)range;
    return hint ? arena_printf(ctx->arena, "expected %s, or off", hint) : NULL;
}

static const char *parse_delay(const struct value_context *ctx, const struct value_range *range,
                               void *field, const char *value)
{
    (void)range;
    if (strcasecmp(value, "off") == 0)
        return "expected a duration: there is no 'off' here, and 0 means no time";
    return expected(ctx, units_duration(value, field));
}

static const char *parse_deadline(const struct value_context *ctx, const struct value_range *range,
                                  void *field, const char *value)
{
    const char *hint;
    int64_t ms;

    (void)range;
    hint = units_duration(value, &ms);
    if (!hint && ms == 0)
        return "expected a duration above 0: this limit cannot be turned off";
    if (!hint)
        *(int64_t *)field = ms;
    return expected(ctx, hint);
}

static const char *parse_number(const struct value_context *ctx, const struct value_range *range,
                                void *field, const char *value)
{
    return expected(ctx, units_number(value, range->min, range->max, field));
}

static const char *parse_workers(const struct value_context *ctx, const struct value_range *range,
                                 void *field, const char *value)
{
    (void)ctx;
    (void)range;
    if (strcasecmp(value, "auto") == 0) {
        *(long *)field = 0;
        return NULL;
    }
    return units_number(value, 1, 256, field) ? "expected a number from 1 to 256, or auto" : NULL;
}

static const char *parse_bool(const struct value_context *ctx, const struct value_range *range,
                              void *field, const char *value)
{
    (void)range;
    return expected(ctx, units_bool(value, field));
}

static const char *list_words(const struct value_context *ctx, const struct value_range *range)
{
    struct strbuf out = {0};
    const char *text;
    long i;

    for (i = range->min; range->words[i]; i++)
        if (range->words[i][0] != '!')
            strbuf_addf(&out, "%s%s", out.len ? ", " : "one of: ", range->words[i]);
    text = arena_strdup(ctx->arena, strbuf_text(&out));
    strbuf_free(&out);
    return text;
}

static const char *parse_choice(const struct value_context *ctx, const struct value_range *range,
                                void *field, const char *value)
{
    long i;

    for (i = range->min; range->words[i]; i++) {
        if (range->words[i][0] != '!' && strcasecmp(value, range->words[i]) == 0) {
            *(int *)field = (int)i;
            return NULL;
        }
    }
    for (i = range->min; range->words[i]; i++)
        if (range->words[i][0] == '!' && strcasecmp(value, range->words[i] + 1) == 0)
            return not_yet;
    return expected(ctx, list_words(ctx, range));
}

static const char *parse_tls(const struct value_context *ctx, const struct value_range *range,
                             void *field, const char *value)
{
    if (strcmp(value, "1.0") == 0 || strcmp(value, "1.1") == 0)
        return "expected 1.2 or 1.3: TLS below 1.2 is insecure and never used";
    return parse_choice(ctx, range, field, value);
}

static const char *read_word(const struct value_context *ctx, const struct value_range *range,
                             void *field, const char *value)
{
    (void)range;
    if (!*value)
        return "expected a name";
    *(const char **)field = arena_strdup(ctx->arena, value);
    return NULL;
}

static const char *parse_user(const struct value_context *ctx, const struct value_range *range,
                              void *field, const char *value)
{
    return getpwnam(value) ? read_word(ctx, range, field, value) : "expected a user of this system";
}

static const char *parse_group(const struct value_context *ctx, const struct value_range *range,
                               void *field, const char *value)
{
    return getgrnam(value) ? read_word(ctx, range, field, value)
                           : "expected a group of this system";
}

/* Returns what is wrong with a host name, a phrase that follows it; or NULL. */
static const char *explain_host(const char *name)
{
    const char *why = hostname_check(name);
    const char *advice = why ? foreign_host(name) : NULL;

    return advice ? advice : why;
}

static const char *parse_host(const struct value_context *ctx, const struct value_range *range,
                              void *field, const char *value)
{
    const char *why = explain_host(value);

    (void)range;
    if (why)
        return arena_printf(ctx->arena, "expected a host name or an IP address: this one %s", why);
    /* "example.com." and "example.com" are one name; SNI has no dot (RFC 6066 section 3) */
    *(const char **)field = arena_strndup(ctx->arena, value, hostname_length(value));
    return NULL;
}

static const char *parse_verify_name(const struct value_context *ctx,
                                     const struct value_range *range, void *field,
                                     const char *value)
{
    const char *why = spiffe_is_meant(value) ? spiffe_check(value) : NULL;

    if (why)
        return arena_printf(ctx->arena, "expected a SPIFFE ID: this one %s", why);
    if (spiffe_is_meant(value)) {
        *(const char **)field = arena_strdup(ctx->arena, value);
        return NULL;
    }
    if (strchr(value, '%') && strchr(value, ':'))
        return "certificates have no IPv6 zone: remove the '%' and the text after it";
    return parse_host(ctx, range, field, value);
}

static const char *parse_sni(const struct value_context *ctx, const struct value_range *range,
                             void *field, const char *value)
{
    if (strcasecmp(value, "off") == 0) {
        *(const char **)field = "off";
        return NULL;
    }
    if (hostname_is_ip(value))
        return "expected a host name or off: an IP address is never sent (RFC 6066 section 3)";
    return parse_host(ctx, range, field, value);
}

static const char *parse_ip(const struct value_context *ctx, const struct value_range *range,
                            void *field, const char *value)
{
    struct addr a, ipv4;
    char text[ADDR_TEXT_SIZE];

    (void)range;
    if (!addr_from_ip(&a, value, 0))
        return "expected an IP address to connect from, without a port; clients connect to "
               "'listen'";
    ipv4 = a;
    addr_unmap(&ipv4);
    /* only IPv6 sockets could be bound to it, so the IPv4 addresses would be skipped */
    if (ipv4.sa.sa_family != a.sa.sa_family)
        return arena_printf(ctx->arena, "expected %s: this is an IPv4 address",
                            addr_format_ip(&ipv4, text));
    *(struct addr *)field = a;
    return NULL;
}

static const char *parse_via(const struct value_context *ctx, const struct value_range *range,
                             void *field, const char *value)
{
    (void)range;
    return via_parse(value, ctx->dir, ctx->arena, field);
}

static const char *parse_target(const struct value_context *ctx, const struct value_range *range,
                                void *field, const char *value)
{
    struct config_targets *list = field;
    char host[HOSTNAME_MAX + 2];
    uint16_t port = 0;
    const char *why = addr_split(value, host, sizeof(host), &port);

    (void)range;
    if (strpbrk(value, ", \t"))
        return "expected one IP[:PORT] or NAME[:PORT]: write each on a line of its own";
    if (why && foreign_host(value))
        return arena_printf(ctx->arena, "expected IP[:PORT] or NAME[:PORT]: '%s' %s", value,
                            foreign_host(value));
    if (why)
        return arena_printf(ctx->arena, "expected IP[:PORT] or NAME[:PORT]: %s", why);
    why = explain_host(host);
    if (why)
        return arena_printf(ctx->arena, "expected IP[:PORT] or NAME[:PORT]: '%s' %s", host, why);
    list->items = arena_grow(ctx->arena, list->items, list->count, sizeof(*list->items));
    list->items[list->count].host = arena_strdup(ctx->arena, host);
    list->items[list->count].port = port;
    list->count++;
    return NULL;
}

static const char *parse_listen(const struct value_context *ctx, const struct value_range *range,
                                void *field, const char *value)
{
    struct config_listens *list = field;
    struct config_listen listen = {.where = ctx->where, .text = arena_strdup(ctx->arena, value)};
    const char *why;

    (void)range;
    if (strncmp(value, "systemd:", 8) == 0)
        return not_yet;
    why = listen_parse(value, ctx->dir, ctx->arena, &listen);
    if (why)
        return why;
    list->items = arena_grow(ctx->arena, list->items, list->count, sizeof(listen));
    list->items[list->count++] = listen;
    return NULL;
}

static const char *parse_pin(const struct value_context *ctx, const struct value_range *range,
                             void *field, const char *value)
{
    (void)range;
    return pinvalue_parse(value, ctx->dir, ctx->arena, field);
}

static const char *parse_revoked(const struct value_context *ctx, const struct value_range *range,
                                 void *field, const char *value)
{
    (void)range;
    return pinvalue_parse_revoked(value, ctx->dir, ctx->arena, field);
}

static void merge_pins(struct arena *arena, void *field, const void *inherited)
{
    const struct pin_list *from = inherited;
    struct pin_list *list = field;
    size_t own = list->count, i, j;

    for (i = 0; i < from->count; i++) {
        for (j = 0; j < own && !pin_equal(&list->items[j], &from->items[i]); j++)
            ;
        if (j < own)
            continue;
        list->items = arena_grow(arena, list->items, list->count, sizeof(*list->items));
        list->items[list->count++] = from->items[i];
    }
}

/* Reads "name dates", "name, dates", or one of them on a line. */
static const char *parse_also_check(const struct value_context *ctx,
                                    const struct value_range *range, void *field, const char *value)
{
    char *text = arena_strdup(ctx->arena, value), *word, *rest = NULL;
    unsigned bits = 0;

    (void)range;
    for (word = strtok_r(text, ", \t", &rest); word; word = strtok_r(NULL, ", \t", &rest)) {
        if (strcasecmp(word, "name") == 0)
            bits |= ALSO_CHECK_NAME;
        else if (strcasecmp(word, "dates") == 0)
            bits |= ALSO_CHECK_DATES;
        else
            return "expected name or dates";
    }
    if (bits == 0)
        return "expected name or dates";
    *(unsigned *)field |= bits;
    return NULL;
}

static const char *parse_text(const struct value_context *ctx, const struct value_range *range,
                              void *field, const char *value)
{
    struct config_string *text = field;

    (void)range;
    if (!*value)
        return "expected a value";
    text->text = arena_strdup(ctx->arena, value);
    text->where = ctx->where;
    return NULL;
}

static const char *read_texts(const struct value_context *ctx, const struct value_range *range,
                              void *field, const char *value)
{
    struct config_strings *list = field;

    if (!*value)
        return "expected a value";
    list->items = arena_grow(ctx->arena, list->items, list->count, sizeof(*list->items));
    return parse_text(ctx, range, &list->items[list->count++], value);
}

static const char *parse_paths(const struct value_context *ctx, const struct value_range *range,
                               void *field, const char *value)
{
    if (!*value)
        return "expected a path";
    return read_texts(ctx, range, field, file_resolve(ctx->arena, ctx->dir, value));
}

static const char *parse_path(const struct value_context *ctx, const struct value_range *range,
                              void *field, const char *value)
{
    (void)range;
    if (!*value)
        return "expected a path";
    *(const char **)field = file_resolve(ctx->arena, ctx->dir, value);
    return NULL;
}

/* A request line contains it as it is, so it may have only what RFC 9112 section 3.2.1 allows. */
static const char *parse_url_path(const struct value_context *ctx, const struct value_range *range,
                                  void *field, const char *value)
{
    const char *p;

    (void)range;
    for (p = value; *p; p++)
        if (*p <= ' ' || *p >= 0x7f || *p == '#')
            return "expected a path of ASCII characters, without blanks and without '#'";
    if (value[0] != '/')
        return "expected a path on the host that begins with a slash, such as /pins";
    *(const char **)field = arena_strdup(ctx->arena, value);
    return NULL;
}

static bool also_check_in_comment(const char *comment)
{
    comment += strspn(comment, "; \t");
    return strcasecmp(comment, "name") == 0 || strcasecmp(comment, "dates") == 0;
}

static bool enforce_in_comment(const char *comment)
{
    return foreign_comment(comment, "until=");
}

static bool listen_in_comment(const char *comment)
{
    return foreign_comment(comment, "mode= user= group=");
}

static const char *parse_enforce(const struct value_context *ctx, const struct value_range *range,
                                 void *field, const char *value)
{
    static const char hint[] = "expected yes, or report, or report until=YYYY-MM-DD";
    struct config_enforce enforce = {.report = true};
    bool yes = false;
    const char *rest;

    (void)range;
    if (strncasecmp(value, "report", 6) != 0) {
        if (units_bool(value, &yes) || !yes)
            return "expected yes, or report, or report until=YYYY-MM-DD: a pin mismatch "
                   "is refused or reported, and never ignored";
        *(struct config_enforce *)field = (struct config_enforce){.report = false};
        return NULL;
    }
    rest = value + 6 + strspn(value + 6, " \t");
    if (*rest && (rest == value + 6 || strncmp(rest, "until=", 6) != 0))
        return hint;
    if (*rest && units_date(rest + 6, &enforce.until))
        return expected(ctx, units_date(rest + 6, &enforce.until));
    if (*rest && enforce.until <= 0) /* 0 means that it does not end */
        return "expected a date after 1970 in until=";
    *(struct config_enforce *)field = enforce;
    return NULL;
}

/* RFC 7301 section 3.1: names of 1 to 255 bytes, the whole list at most 65535. */
static const char *parse_alpn(const struct value_context *ctx, const struct value_range *range,
                              void *field, const char *value)
{
    const struct config_strings *list = field;

    if (!*value || strlen(value) > 255 || strpbrk(value, " \t,") || list->count == 64)
        return "expected one protocol name such as http/1.1: write each name on a line of its own";
    return read_texts(ctx, range, field, value);
}

/* The type of the field and its canonical form, and what only a few kinds have. */
#define KIND(name, type, canonical_type, ...)                                                      \
    const struct value_kind value_##name = {                                                       \
        .parse = parse_##name, .canonical = canonical_type, .size = sizeof(type), __VA_ARGS__}

KIND(also_check, unsigned, canonical_unsigned, .in_comment = also_check_in_comment);
KIND(alpn, struct config_strings, canonical_strings, );
KIND(bool, bool, canonical_bool, );
KIND(choice, int, canonical_int, );
KIND(deadline, int64_t, canonical_int64, );
KIND(delay, int64_t, canonical_int64, );
KIND(duration, int64_t, canonical_int64, );
KIND(enforce, struct config_enforce, canonical_enforce, .in_comment = enforce_in_comment);
KIND(group, const char *, canonical_text, );
KIND(host, const char *, canonical_text, );
KIND(ip, struct addr, canonical_addr, );
KIND(listen, struct config_listens, canonical_listens, .in_comment = listen_in_comment);
KIND(number, long, canonical_long, );
KIND(path, const char *, canonical_text, );
KIND(paths, struct config_strings, canonical_strings, );
KIND(pin, struct pin_list, canonical_pins, .in_comment = pinvalue_in_comment);
KIND(revoked, struct pin_list, canonical_pins, .merge = merge_pins,
     .in_comment = pinvalue_in_comment);
KIND(sni, const char *, canonical_text, );
KIND(target, struct config_targets, canonical_targets, );
KIND(text, struct config_string, canonical_string, );
KIND(tls, int, canonical_int, );
KIND(url_path, const char *, canonical_text, );
KIND(user, const char *, canonical_text, );
KIND(verify_name, const char *, canonical_text, );
KIND(via, struct config_via, canonical_via, .conceal = userinfo_conceal);
KIND(workers, long, canonical_long, );
