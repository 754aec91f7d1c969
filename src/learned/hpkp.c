#include "learned/hpkp.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "http/syntax.h"
#include "pin/digest.h"

#define NAME_MAX 64
#define VALUE_MAX 1024

/* A value that is being parsed: RFC 7469 section 2.1, with the words of RFC 9110 section 5.6. */
struct value_parser {
    const char *p, *end;
    struct hpkp pkp;
    bool has_max_age, has_subdomains, has_report;
    char name[NAME_MAX + 1];
    char value[VALUE_MAX + 1]; /* unescaped */
    bool has_value, quoted, cut;
};

static void skip_blanks(struct value_parser *r)
{
    while (r->p < r->end && http_is_blank(*r->p))
        r->p++;
}

/* A longer name or value is cut, not refused: unknown directives are ignored. */
static const char *read_token(struct value_parser *r, char *out, size_t max)
{
    size_t n = 0;

    for (; r->p < r->end && http_is_tchar(*r->p); r->p++) {
        if (n == max)
            r->cut = true;
        else
            out[n++] = *r->p;
    }
    out[n] = '\0';
    return n ? NULL : "a directive's name or value is missing";
}

static const char *read_quoted(struct value_parser *r)
{
    size_t n = 0;

    for (r->p++; r->p < r->end && *r->p != '"'; r->p++) {
        if (*r->p == '\\' && ++r->p == r->end)
            break;
        if (n == VALUE_MAX)
            r->cut = true;
        else
            r->value[n++] = *r->p;
    }
    if (r->p == r->end)
        return "a quoted string has no end";
    r->p++;
    r->value[n] = '\0';
    r->quoted = true;
    return NULL;
}

/* No blanks about the '=' (RFC 7469 section 2.1), which "UAs must not attempt to fix". */
static const char *read_directive(struct value_parser *r)
{
    const char *why;

    r->has_value = r->quoted = r->cut = false;
    r->value[0] = '\0';
    why = read_token(r, r->name, NAME_MAX);
    if (why)
        return why;
    if (r->p == r->end || *r->p != '=')
        return NULL;
    r->p++;
    r->has_value = true;
    return r->p < r->end && *r->p == '"' ? read_quoted(r) : read_token(r, r->value, VALUE_MAX);
}

static const char *take_pin(struct value_parser *r)
{
    uint8_t digest[CERT_DIGEST_SIZE];
    size_t i;

    if (!r->quoted)
        return "a pin is not in quotes";
    if (strcasecmp(r->name, "pin-sha256") != 0)
        return NULL; /* another algorithm is ignored */
    if (digest_read_base64(r->value, strlen(r->value), digest))
        return "a pin-sha256 is not the base64 of 32 bytes";
    for (i = 0; i < r->pkp.count; i++)
        if (memcmp(r->pkp.pins[i], digest, sizeof(digest)) == 0)
            return NULL;
    if (r->pkp.count == HPKP_PINS_MAX)
        return "too many pins";
    memcpy(r->pkp.pins[r->pkp.count++], digest, sizeof(digest));
    return NULL;
}

static const char *take_max_age(struct value_parser *r)
{
    const char *p;

    if (r->has_max_age)
        return "max-age is there twice";
    r->has_max_age = true;
    if (!*r->value || r->cut || strspn(r->value, "0123456789") != strlen(r->value))
        return "max-age is not a number of seconds";
    for (p = r->value; *p; p++) {
        r->pkp.max_age = r->pkp.max_age * 10 + (*p - '0');
        if (r->pkp.max_age > INT32_MAX)
            r->pkp.max_age = INT32_MAX;
    }
    return NULL;
}

static const char *take_once(bool *has)
{
    if (*has)
        return "a directive is there twice";
    *has = true;
    return NULL;
}

static const char *take_directive(struct value_parser *r)
{
    if (strncasecmp(r->name, "pin-", 4) == 0)
        return take_pin(r);
    if (strcasecmp(r->name, "max-age") == 0)
        return take_max_age(r);
    if (strcasecmp(r->name, "includeSubDomains") == 0)
        return r->has_value ? "includeSubDomains has a value" : take_once(&r->has_subdomains);
    if (strcasecmp(r->name, "report-uri") == 0)
        return r->has_value ? take_once(&r->has_report) : "report-uri has no value";
    return NULL;
}

static const char *read_value(struct value_parser *r)
{
    const char *why = NULL;

    for (;;) {
        skip_blanks(r);
        if (r->p < r->end && *r->p != ';') {
            why = read_directive(r);
            if (!why)
                why = take_directive(r);
            if (why)
                return why;
            skip_blanks(r);
        }
        if (r->p == r->end)
            return NULL;
        if (*r->p++ != ';')
            return "directives are not separated by ';'";
    }
}

const char *hpkp_parse(const char *value, size_t len, struct hpkp *out)
{
    struct value_parser r = {.p = value, .end = value + len};
    const char *why;
    size_t i;

    for (i = 0; i < len; i++)
        if (!http_is_value_byte(value[i]))
            return "the field has a control byte";
    why = read_value(&r);
    if (why)
        return why;
    if (!r.has_max_age)
        return "max-age is missing";
    if (r.pkp.count == 0 && r.pkp.max_age > 0)
        return "there is no pin-sha256";
    *out = r.pkp;
    return NULL;
}
