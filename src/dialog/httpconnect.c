/*
 * The client's side of HTTP CONNECT (RFC 9110 section 9.3.6), with Basic credentials (RFC 7617) if
 * the section's `via` has them. The proxy is asked to connect to a host by its name, which it
 * resolves itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/section.h"
#include "dialog/dialog.h"
#include "http/response.h"
#include "http/syntax.h"
#include "net/target.h"

/* How much of the content of a refusal is waited for: its first line should be within it. */
#define CONTENT_MAX 512

struct httpconnect {
    bool asked;
};

static void add_basic(struct strbuf *out, const struct config_via *via)
{
    struct strbuf plain = {0};

    strbuf_addf(&plain, "%s:%s", via->user, via->password);
    strbuf_add_base64(out, plain.data, plain.len);
    explicit_bzero(plain.data, plain.len);
    strbuf_free(&plain);
}

static void add_credentials(struct dialog_io *io)
{
    strbuf_add(io->out, "Proxy-Authorization: Basic ");
    add_basic(io->out, &io->section->via);
    strbuf_add(io->out, "\r\n");
}

static void send_request(struct dialog_io *io)
{
    const struct config_target t = target_request(io->section, io->attempt);
    const bool is_ipv6 = strchr(t.host, ':');
    char authority[300];

    snprintf(authority, sizeof(authority), is_ipv6 ? "[%s]:%u" : "%s:%u", t.host, t.port);
    strbuf_addf(io->out, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", authority, authority);
    if (io->section->via.user)
        add_credentials(io);
    strbuf_add(io->out, "\r\n");
}

/*
 * Returns the length of the text that follows the head of a refusal, as far as it is of use; 0 if
 * it is no text for people, or if its length is not known.
 */
static size_t content_length(const struct http_response *r)
{
    static const char plain[] = "text/plain";
    struct http_text type, length;
    size_t n = 0, i;

    if (!http_response_find_field(r, "Content-Type", &type) || type.len < strlen(plain)
        || strncasecmp(type.bytes, plain, strlen(plain)) != 0
        || !http_response_find_field(r, "Content-Length", &length))
        return 0;
    for (i = 0; i < length.len && n < CONTENT_MAX; i++) {
        if (length.bytes[i] < '0' || length.bytes[i] > '9')
            return 0;
        n = n * 10 + (size_t)(length.bytes[i] - '0');
    }
    return n < CONTENT_MAX ? n : CONTENT_MAX;
}

/* Returns the length of the first line of n bytes, or n if it has no end. */
static size_t line_length(const char *bytes, size_t n, bool *has_end)
{
    const char *newline = n ? memchr(bytes, '\n', n) : NULL;

    *has_end = newline;
    if (newline)
        n = (size_t)(newline - bytes);
    return n && bytes[n - 1] == '\r' ? n - 1 : n;
}

static const char *advice(const struct dialog_io *io, int status)
{
    if (status != 407 && status != 401) /* Tinyproxy answers 401 to a wrong password */
        return "";
    return io->section->via.user ? ": it rejects the user or the password"
                                 : ": set USER:PASSWORD in 'via'";
}

static bool contains(const char *bytes, size_t n, const char *text)
{
    return *text && memmem(bytes, n, text, strlen(text));
}

/* Returns true if the proxy's words repeat the password, which must not get to a log. */
static bool shows_password(const struct config_via *via, const char *bytes, size_t n)
{
    struct strbuf basic = {0};
    bool shown;

    if (!via->user)
        return false;
    add_basic(&basic, via);
    shown = contains(bytes, n, via->password) || contains(bytes, n, basic.data);
    explicit_bzero(basic.data, basic.len);
    strbuf_free(&basic);
    return shown;
}

/* Describes a refusal with the proxy's status, and with the first line of a text that follows. */
static enum dialog_result refuse(struct dialog_io *io, const struct http_response *r,
                                 const char *content, size_t n)
{
    const struct config_via *via = &io->section->via;
    const size_t wanted = content_length(r);
    const bool is_complete = n >= wanted || io->ended;
    bool has_end;
    size_t len = line_length(content, n < wanted ? n : wanted, &has_end);

    if (!has_end && !is_complete)
        return DIALOG_MORE;
    if (shows_password(via, r->reason.bytes, r->reason.len) || shows_password(via, content, len))
        snprintf(io->detail, DIALOG_DETAIL_SIZE, "%d%s: its words have the password in them",
                 r->status, advice(io, r->status));
    else
        snprintf(io->detail, DIALOG_DETAIL_SIZE, "%d%s%.*s%s%s%.*s", r->status,
                 r->reason.len ? " " : "", (int)(r->reason.len < 80 ? r->reason.len : 80),
                 r->reason.len ? r->reason.bytes : "", advice(io, r->status), len ? ": " : "",
                 (int)(len < 100 ? len : 100), len ? content : "");
    return r->status == 407 ? DIALOG_FAILED : DIALOG_REFUSED;
}

static enum dialog_result run(void *state, struct dialog_io *io)
{
    struct httpconnect *h = state;
    const char *in = (const char *)io->in, *why;
    struct http_response r;
    size_t head;

    if (!h->asked)
        send_request(io);
    h->asked = true;
    switch (http_response_parse(in, io->in_len, &r, &head, &why)) {
    case HTTP_MORE:
        return DIALOG_MORE;
    case HTTP_BAD:
        snprintf(io->detail, DIALOG_DETAIL_SIZE, "%s", why);
        return DIALOG_FAILED;
    case HTTP_HEAD:
        break;
    }
    /* a 2xx has no content, whatever its fields say: the tunnel begins behind its head */
    if (r.status / 100 != 2)
        return refuse(io, &r, in + head, io->in_len - head);
    io->used = head;
    return DIALOG_DONE;
}

const struct dialog_ops dialog_httpconnect = {"HTTP proxy", REASON_VIA, sizeof(struct httpconnect),
                                              run};
