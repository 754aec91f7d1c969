/* Which pins have to be announced (today's and a backup) is for the caller to say. */
#include "learned/hpkp.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "pin/digest.h"

#define NAME_MAX 64
#define VALUE_MAX 1024
#define INTERIM_MAX 8

static const char field_name[] = "Public-Key-Pins";

/* A field's value while it is read: RFC 7469 section 2.1, words of RFC 9110 section 5.6. */
struct reading {
    const char *p, *end;
    struct hpkp pkp;
    bool has_max_age, has_subdomains, has_report;
    char name[NAME_MAX + 1];
    char value[VALUE_MAX + 1]; /* unescaped */
    bool has_value, quoted, cut;
};

static bool is_token(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')
           || (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* What a field's value may hold at all (RFC 9110 section 5.5). */
static bool is_field_byte(unsigned char c)
{
    return c == '\t' || (c >= 0x20 && c != 0x7f);
}

static void skip_blanks(struct reading *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t'))
        r->p++;
}

/* What is too long is cut, not refused: it is no directive of ours, and the others are ignored. */
static const char *read_token(struct reading *r, char *out, size_t max)
{
    size_t n = 0;

    for (; r->p < r->end && is_token((unsigned char)*r->p); r->p++) {
        if (n == max)
            r->cut = true;
        else
            out[n++] = *r->p;
    }
    out[n] = '\0';
    return n ? NULL : "a directive's name or value is missing";
}

static const char *read_quoted(struct reading *r)
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
static const char *read_directive(struct reading *r)
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

static const char *take_pin(struct reading *r)
{
    uint8_t digest[CERT_DIGEST_SIZE];
    size_t i;

    if (!r->quoted)
        return "a pin is not in quotes";
    if (strcasecmp(r->name, "pin-sha256") != 0)
        return NULL; /* of another algorithm: to be ignored */
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

static const char *take_max_age(struct reading *r)
{
    const char *p;

    if (r->has_max_age)
        return "max-age stands twice";
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
        return "a directive stands twice";
    *has = true;
    return NULL;
}

static const char *take_directive(struct reading *r)
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

static const char *read_value(struct reading *r)
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
            return "directives are separated by something else than ';'";
    }
}

const char *hpkp_parse(const char *value, size_t len, struct hpkp *out)
{
    struct reading r = {.p = value, .end = value + len};
    const char *why;
    size_t i;

    for (i = 0; i < len; i++)
        if (!is_field_byte((unsigned char)value[i]))
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

/* The response. */

struct line {
    const char *text;
    size_t len;
};

/* The next line, without its end; false when it is not complete. A bare LF is taken for an end too
 * (RFC 9112 section 2.2). */
static bool next_line(const char **p, const char *end, struct line *line)
{
    const char *newline = memchr(*p, '\n', (size_t)(end - *p));

    if (!newline)
        return false;
    line->text = *p;
    line->len = (size_t)(newline - *p);
    if (line->len && line->text[line->len - 1] == '\r')
        line->len--;
    *p = newline + 1;
    return true;
}

/* "HTTP/1.1 200 OK": the status, or 0. */
static int read_status(const struct line *l)
{
    const char *t = l->text;

    if (l->len < 12 || (memcmp(t, "HTTP/1.1 ", 9) != 0 && memcmp(t, "HTTP/1.0 ", 9) != 0)
        || t[9] < '1' || t[9] > '5' || t[10] < '0' || t[10] > '9' || t[11] < '0' || t[11] > '9'
        || (l->len > 12 && t[12] != ' '))
        return 0;
    return (t[9] - '0') * 100 + (t[10] - '0') * 10 + (t[11] - '0');
}

static bool has_control_byte(const struct line *l)
{
    size_t i;

    for (i = 0; i < l->len; i++)
        if (!is_field_byte((unsigned char)l->text[i]))
            return true;
    return false;
}

/* Where the value of a well-formed field begins; 0: it is none. */
static size_t field_value(const struct line *l)
{
    size_t n = 0;

    while (n < l->len && is_token((unsigned char)l->text[n]))
        n++;
    return n > 0 && n < l->len && l->text[n] == ':' ? n + 1 : 0;
}

/* One head, from its status line on. */
static enum hpkp_result read_head(const char **p, const char *end, int *status, struct line *found,
                                  const char **why)
{
    static const char protocol[] = "HTTP/1.";
    struct line line;
    size_t value, n = (size_t)(end - *p);

    *found = (struct line){0};
    *why = "the answer is not HTTP/1.1";
    /* another protocol may come without a newline, and without an end */
    if (memcmp(*p, protocol, n < strlen(protocol) ? n : strlen(protocol)) != 0)
        return HPKP_BAD;
    if (!next_line(p, end, &line))
        return HPKP_MORE;
    *status = read_status(&line);
    if (*status == 0 || has_control_byte(&line))
        return HPKP_BAD;
    for (;;) {
        if (!next_line(p, end, &line))
            return HPKP_MORE;
        if (line.len == 0)
            return HPKP_FOUND;
        value = field_value(&line);
        *why = "the answer has a malformed header";
        if (value == 0 || has_control_byte(&line))
            return HPKP_BAD;
        if (!found->text && value - 1 == strlen(field_name)
            && strncasecmp(line.text, field_name, value - 1) == 0)
            *found = (struct line){line.text + value, line.len - value};
    }
}

enum hpkp_result hpkp_read(const char *bytes, size_t n, int ended, struct hpkp *out,
                           const char **why)
{
    const char *p = n ? bytes : "", *end = p + (n < HPKP_HEAD_MAX ? n : HPKP_HEAD_MAX);
    enum hpkp_result result = HPKP_MORE;
    struct line found = {0};
    int status = 100, heads;

    /* interim responses come before the final one (RFC 9110 section 15.2) */
    for (heads = 0; status < 200; heads++) {
        result = read_head(&p, end, &status, &found, why);
        if (result != HPKP_FOUND)
            break;
        *why = status == 101 ? "the host switches to another protocol"
                             : "the host sends too many interim answers";
        if (status == 101 || (status < 200 && heads == INTERIM_MAX))
            return HPKP_BAD;
    }
    if (result == HPKP_MORE) {
        *why = n >= HPKP_HEAD_MAX ? "the answer's head is too long" : "the answer broke off";
        return n >= HPKP_HEAD_MAX || ended ? HPKP_BAD : HPKP_MORE;
    }
    if (result == HPKP_BAD)
        return HPKP_BAD;
    *why = "the answer has no Public-Key-Pins field";
    if (!found.text)
        return HPKP_BAD;
    *why = hpkp_parse(found.text, found.len, out);
    return *why ? HPKP_BAD : HPKP_FOUND;
}
