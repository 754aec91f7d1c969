#include "http/response.h"

#include <string.h>
#include <strings.h>

#include "http/syntax.h"

/* What has not been parsed yet. */
struct input {
    const char *at, *end;
};

/* Takes the next line, without its end. Returns false if it is incomplete. */
static bool next_line(struct input *in, struct http_text *line)
{
    const char *newline = memchr(in->at, '\n', (size_t)(in->end - in->at));

    if (!newline)
        return false;
    line->bytes = in->at;
    line->len = (size_t)(newline - in->at);
    if (line->len && line->bytes[line->len - 1] == '\r')
        line->len--;
    in->at = newline + 1;
    return true;
}

static bool has_control_byte(const struct http_text *line)
{
    size_t i;

    for (i = 0; i < line->len; i++)
        if (!http_is_value_byte(line->bytes[i]))
            return true;
    return false;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Removes the whitespace around a text. */
static struct http_text trim(const char *bytes, size_t len)
{
    while (len && http_is_blank(bytes[0])) {
        bytes++;
        len--;
    }
    while (len && http_is_blank(bytes[len - 1]))
        len--;
    return (struct http_text){bytes, len};
}

/* "HTTP/1.1 200 OK". The reason phrase, and the space before it, may be missing. */
static bool parse_status_line(const struct http_text *line, struct http_response *r)
{
    const char *t = line->bytes;

    if (line->len < 12 || has_control_byte(line))
        return false;
    if (memcmp(t, "HTTP/1.1 ", 9) != 0 && memcmp(t, "HTTP/1.0 ", 9) != 0)
        return false;
    if (t[9] < '1' || t[9] > '5' || !is_digit(t[10]) || !is_digit(t[11]))
        return false;
    if (line->len > 12 && t[12] != ' ')
        return false;
    r->version = t[7] == '1' ? 11 : 10;
    r->status = (t[9] - '0') * 100 + (t[10] - '0') * 10 + (t[11] - '0');
    r->reason = line->len > 13 ? trim(t + 13, line->len - 13) : (struct http_text){t, 0};
    return true;
}

/* Returns the length of the field name of a well-formed field-line, or 0. */
static size_t check_field_line(const struct http_text *line)
{
    size_t n = 0;

    while (n < line->len && http_is_tchar(line->bytes[n]))
        n++;
    return n < line->len && line->bytes[n] == ':' && !has_control_byte(line) ? n : 0;
}

/* Another protocol may come without a newline, and without an end. */
static bool begins_as_http(const struct input *in)
{
    static const char protocol[] = "HTTP/1.";
    const size_t n = (size_t)(in->end - in->at), len = strlen(protocol);

    return memcmp(in->at, protocol, n < len ? n : len) == 0;
}

/* Parses one head, interim or final. */
static enum http_result parse_head(struct input *in, struct http_response *r, const char **why)
{
    struct http_text line;

    *why = "the response is not HTTP/1.1";
    if (!begins_as_http(in))
        return HTTP_BAD;
    if (!next_line(in, &line))
        return HTTP_MORE;
    if (!parse_status_line(&line, r))
        return HTTP_BAD;
    r->fields.bytes = in->at;
    while (next_line(in, &line)) {
        if (line.len == 0) {
            r->fields.len = (size_t)(line.bytes - r->fields.bytes);
            return HTTP_HEAD;
        }
        if (check_field_line(&line) == 0) {
            *why = "the response has a malformed header field";
            return HTTP_BAD;
        }
    }
    return HTTP_MORE;
}

static enum http_result parse_heads(struct input *in, struct http_response *r, const char **why)
{
    int interim;

    for (interim = 0;; interim++) {
        const enum http_result result = parse_head(in, r, why);

        if (result != HTTP_HEAD || r->status >= 200)
            return result;
        if (r->status == 101) {
            *why = "the server switches to another protocol";
            return HTTP_BAD;
        }
        if (interim == HTTP_INTERIM_MAX) {
            *why = "the server sends too many interim responses";
            return HTTP_BAD;
        }
    }
}

enum http_result http_response_parse(const char *bytes, size_t n, struct http_response *response,
                                     size_t *consumed, const char **why)
{
    const char *start = n ? bytes : "";
    struct input in = {start, start + (n < HTTP_HEAD_MAX ? n : HTTP_HEAD_MAX)};
    struct http_response r = {0};
    const enum http_result result = parse_heads(&in, &r, why);

    if (result == HTTP_MORE && n >= HTTP_HEAD_MAX) {
        *why = "the head of the response is too long";
        return HTTP_BAD;
    }
    if (result == HTTP_HEAD) {
        *response = r;
        *consumed = (size_t)(in.at - start);
    }
    return result;
}

bool http_response_find_field(const struct http_response *response, const char *name,
                              struct http_text *value)
{
    struct input in = {response->fields.bytes, response->fields.bytes + response->fields.len};
    const size_t len = strlen(name);
    struct http_text line;

    while (next_line(&in, &line)) {
        if (check_field_line(&line) != len || strncasecmp(line.bytes, name, len) != 0)
            continue;
        *value = trim(line.bytes + len + 1, line.len - len - 1);
        return true;
    }
    return false;
}
