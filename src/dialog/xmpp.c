/*
 * STARTTLS in XMPP (RFC 6120 section 5). The parser knows the small part of XML that XMPP permits
 * (section 11.1): tags, their attributes, and text. A comment, a processing instruction, a DTD and
 * CDATA are errors, and no entity is expanded. It takes one tag or one byte of text at a time and
 * stores nothing of them, so no input makes it grow.
 */
#include "dialog/dialog.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "config/section.h"

#define NS_STREAM "http://etherx.jabber.org/streams"
#define NS_TLS "urn:ietf:params:xml:ns:xmpp-tls"

/* The maximum length of a tag. */
#define XMPP_TAG_MAX 4096

/* The server's words about an error are cut after this many bytes. */
#define XMPP_WORDS_SIZE 160

struct text {
    const char *bytes;
    size_t len;
};

enum xmpp_phase {
    XMPP_NEW,      /* nothing was sent */
    XMPP_HEADER,   /* awaits the stream header */
    XMPP_FEATURES, /* awaits the features */
    XMPP_ANSWER,   /* awaits proceed or failure */
};

/* The child of the stream that is being read. */
enum xmpp_child { CHILD_NONE, CHILD_FEATURES, CHILD_PROCEED, CHILD_FAILURE, CHILD_ERROR };

struct xmpp {
    enum xmpp_phase phase;
    enum xmpp_child child;
    bool declared; /* the XML declaration has come */
    bool offered;
    unsigned depth; /* of open elements; the stream is the first */
    size_t words_len;
    char words[XMPP_WORDS_SIZE]; /* of an error: the name of its condition, and its text */
};

enum tag_kind { TAG_START, TAG_EMPTY, TAG_END };

struct tag {
    enum tag_kind kind;
    struct text prefix; /* of a qualified name: empty if there is none */
    struct text name;
    struct text attributes;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool equals(struct text t, const char *s)
{
    return t.len == strlen(s) && memcmp(t.bytes, s, t.len) == 0;
}

static void advance(struct text *t, size_t n)
{
    t->bytes += n;
    t->len -= n;
}

static struct text take(struct text *t, size_t n)
{
    const struct text taken = {t->bytes, n};

    advance(t, n);
    return taken;
}

/* Skips white space. Returns true if there was any. */
static bool skip_space(struct text *t)
{
    const size_t before = t->len;

    while (t->len && is_space(t->bytes[0]))
        advance(t, 1);
    return t->len < before;
}

/* Takes a name, or a qualified name with its colon. It is empty if there is none. */
static struct text take_name(struct text *t)
{
    size_t n = 0;

    while (n < t->len && !is_space(t->bytes[n]) && !strchr("=/<>\"'&", t->bytes[n]))
        n++;
    return take(t, n);
}

/* Takes the next attribute, such as version='1.0'. Returns false if it is malformed. */
static bool take_attribute(struct text *t, struct text *name, struct text *value)
{
    const char *end;

    if (!skip_space(t))
        return false;
    *name = take_name(t);
    skip_space(t);
    if (name->len == 0 || t->len == 0 || t->bytes[0] != '=')
        return false;
    advance(t, 1);
    skip_space(t);
    if (t->len == 0 || (t->bytes[0] != '"' && t->bytes[0] != '\''))
        return false;
    end = memchr(t->bytes + 1, t->bytes[0], t->len - 1);
    if (!end)
        return false;
    *value = (struct text){t->bytes + 1, (size_t)(end - t->bytes) - 1};
    advance(t, value->len + 2);
    return !memchr(value->bytes, '<', value->len);
}

static bool has_only_attributes(struct text t)
{
    struct text name, value, rest = t;

    for (;;) {
        skip_space(&rest);
        if (rest.len == 0)
            return true;
        if (!take_attribute(&t, &name, &value))
            return false;
        rest = t;
    }
}

/* Finds an attribute of a tag by its name, of which the part after a colon is in suffix. */
static bool find_attribute(const struct tag *tag, const char *wanted, struct text suffix,
                           struct text *value)
{
    const size_t len = strlen(wanted);
    struct text rest = tag->attributes, name;

    while (take_attribute(&rest, &name, value)) {
        if (name.len < len || memcmp(name.bytes, wanted, len) != 0)
            continue;
        advance(&name, len);
        if (suffix.len == 0 ? name.len == 0
                            : name.len == suffix.len + 1 && name.bytes[0] == ':'
                                  && memcmp(name.bytes + 1, suffix.bytes, suffix.len) == 0)
            return true;
    }
    return false;
}

/* Returns true if a tag has this name, in a namespace that the tag itself declares. */
static bool is_element(const struct tag *tag, const char *name, const char *ns)
{
    struct text value;

    return equals(tag->name, name) && find_attribute(tag, "xmlns", tag->prefix, &value)
           && equals(value, ns);
}

/* Parses what is between < and >. Returns false if it is malformed. */
static bool parse_tag(struct text t, struct tag *tag)
{
    const char *colon;

    *tag = (struct tag){.kind = TAG_START};
    if (t.len && t.bytes[0] == '/') {
        tag->kind = TAG_END;
        advance(&t, 1);
    } else if (t.len && t.bytes[t.len - 1] == '/') {
        tag->kind = TAG_EMPTY;
        t.len--;
    }
    tag->name = take_name(&t);
    colon = memchr(tag->name.bytes, ':', tag->name.len);
    if (colon) {
        tag->prefix = take(&tag->name, (size_t)(colon - tag->name.bytes));
        advance(&tag->name, 1);
        if (tag->prefix.len == 0 || memchr(tag->name.bytes, ':', tag->name.len))
            return false;
    }
    tag->attributes = t;
    if (tag->name.len == 0 || !has_only_attributes(t))
        return false;
    skip_space(&t);
    return tag->kind != TAG_END || t.len == 0;
}

static enum dialog_result fail(struct dialog_io *io, const char *why)
{
    snprintf(io->detail, DIALOG_DETAIL_SIZE, "%s", why);
    return DIALOG_FAILED;
}

static enum dialog_result fail_syntax(struct dialog_io *io)
{
    return fail(io, "the server's answer is not XMPP");
}

static void add_words(struct xmpp *x, struct text t)
{
    const size_t room = sizeof(x->words) - x->words_len, n = t.len < room ? t.len : room;

    memcpy(x->words + x->words_len, t.bytes, n);
    x->words_len += n;
}

/* The server's error or failure is complete. */
static enum dialog_result refuse(struct xmpp *x, struct dialog_io *io)
{
    snprintf(io->detail, DIALOG_DETAIL_SIZE, "the server refuses %s: %.*s",
             x->phase == XMPP_ANSWER ? "STARTTLS" : "the stream", (int)x->words_len, x->words);
    return DIALOG_FAILED;
}

/* Without a version, the server has no features to offer (RFC 6120 section 4.7.5). */
static enum dialog_result read_header(struct xmpp *x, const struct tag *tag, struct dialog_io *io)
{
    struct text version;

    if (tag->kind != TAG_START || !is_element(tag, "stream", NS_STREAM))
        return fail_syntax(io);
    if (!find_attribute(tag, "version", (struct text){"", 0}, &version) || version.len < 3
        || memcmp(version.bytes, "1.", 2) != 0)
        return fail(io, "the server does not offer STARTTLS: its stream is not of version 1");
    x->phase = XMPP_FEATURES;
    return DIALOG_MORE;
}

/* A child of the stream begins. */
static enum dialog_result begin_child(struct xmpp *x, const struct tag *tag, struct dialog_io *io)
{
    if (equals(tag->name, "error")) {
        x->child = CHILD_ERROR;
    } else if (x->phase == XMPP_FEATURES && equals(tag->name, "features")) {
        x->child = CHILD_FEATURES;
    } else if (x->phase == XMPP_ANSWER && is_element(tag, "proceed", NS_TLS)) {
        x->child = CHILD_PROCEED;
    } else if (x->phase == XMPP_ANSWER && is_element(tag, "failure", NS_TLS)) {
        x->child = CHILD_FAILURE;
        add_words(x, tag->name);
    } else {
        return fail_syntax(io);
    }
    return DIALOG_MORE;
}

/* A child of a child begins. */
static enum dialog_result begin_grandchild(struct xmpp *x, const struct tag *tag,
                                           struct dialog_io *io)
{
    if (x->child == CHILD_PROCEED)
        return fail_syntax(io);
    if (x->child == CHILD_FEATURES && is_element(tag, "starttls", NS_TLS))
        x->offered = true;
    if (x->child == CHILD_ERROR) {
        if (x->words_len)
            add_words(x, (struct text){": ", 2});
        if (!equals(tag->name, "text"))
            add_words(x, tag->name);
    }
    return DIALOG_MORE;
}

/* A child of the stream is complete. */
static enum dialog_result end_child(struct xmpp *x, struct dialog_io *io)
{
    switch (x->child) {
    case CHILD_PROCEED:
        return DIALOG_DONE;
    case CHILD_FAILURE:
    case CHILD_ERROR:
        return refuse(x, io);
    case CHILD_FEATURES:
    case CHILD_NONE:
        break;
    }
    if (!x->offered)
        return fail(io, "the server does not offer STARTTLS");
    strbuf_add(io->out, "<starttls xmlns='" NS_TLS "'/>");
    x->phase = XMPP_ANSWER;
    x->child = CHILD_NONE;
    return DIALOG_MORE;
}

static enum dialog_result begin_element(struct xmpp *x, const struct tag *tag, struct dialog_io *io)
{
    switch (x->depth) {
    case 0:
        return read_header(x, tag, io);
    case 1:
        return begin_child(x, tag, io);
    case 2:
        return begin_grandchild(x, tag, io);
    default:
        return DIALOG_MORE;
    }
}

static enum dialog_result read_tag(struct xmpp *x, struct text t, struct dialog_io *io)
{
    enum dialog_result result = DIALOG_MORE;
    struct tag tag;

    if (!parse_tag(t, &tag))
        return fail_syntax(io);
    if (tag.kind != TAG_END) {
        result = begin_element(x, &tag, io);
        x->depth++;
    }
    if (result != DIALOG_MORE || tag.kind == TAG_START)
        return result;
    if (x->depth < 2)
        return fail(io,
                    x->depth ? "the server ended the stream" : "the server's answer is not XMPP");
    x->depth--;
    return x->depth == 1 ? end_child(x, io) : DIALOG_MORE;
}

/* The declaration may only be the first of all bytes. */
static enum dialog_result read_declaration(struct xmpp *x, struct text t, struct dialog_io *io)
{
    struct text target;

    advance(&t, 1);
    target = take_name(&t);
    if (x->declared || x->depth > 0 || !equals(target, "xml") || t.len == 0
        || t.bytes[t.len - 1] != '?')
        return fail_syntax(io);
    t.len--;
    if (!has_only_attributes(t))
        return fail_syntax(io);
    x->declared = true;
    return DIALOG_MORE;
}

/* Text between the children of a stream is white space. The text of an error is quoted. */
static enum dialog_result read_text(struct xmpp *x, const char *byte, struct dialog_io *io)
{
    if ((x->depth < 2 || x->child == CHILD_PROCEED) && !is_space(*byte))
        return fail_syntax(io);
    if (x->child == CHILD_ERROR && x->depth > 2)
        add_words(x, (struct text){byte, 1});
    return DIALOG_MORE;
}

/* Returns the length of a tag from < to >, which may be in quotes as well, or 0. */
static size_t find_tag_end(struct text t)
{
    char quote = 0;
    size_t i;

    for (i = 0; i < t.len; i++) {
        const char c = t.bytes[i];

        if (quote)
            quote = c == quote ? 0 : quote;
        else if (c == '"' || c == '\'')
            quote = c;
        else if (c == '>')
            return i + 1;
    }
    return 0;
}

/* Reads a tag, or a byte of text. Sets *more if it is incomplete. */
static enum dialog_result read_item(struct xmpp *x, struct dialog_io *io, bool *more)
{
    struct text t = {(const char *)io->in + io->used, io->in_len - io->used};
    size_t n;

    if (t.bytes[0] != '<') {
        io->used++;
        return read_text(x, t.bytes, io);
    }
    n = find_tag_end((struct text){t.bytes, t.len < XMPP_TAG_MAX ? t.len : XMPP_TAG_MAX});
    if (t.len > 1 && t.bytes[1] == '!')
        return fail(io, "the server sends a comment, a DTD or CDATA, which XMPP forbids");
    if (n == 0 && t.len >= XMPP_TAG_MAX)
        return fail(io, "the server sends an XML tag that is too long");
    *more = n == 0;
    if (n == 0)
        return DIALOG_MORE;
    io->used += n;
    t = (struct text){t.bytes + 1, n - 2};
    return t.len && t.bytes[0] == '?' ? read_declaration(x, t, io) : read_tag(x, t, io);
}

/* The zone of an IPv6 address has a meaning on this machine alone. */
static void send_header(const struct config_section *section, struct strbuf *out)
{
    strbuf_addf(out,
                "<?xml version='1.0'?><stream:stream to='%.*s' version='1.0' xml:lang='en' "
                "xmlns='jabber:client' xmlns:stream='" NS_STREAM "'>",
                (int)strcspn(section->host, "%"), section->host);
}

static enum dialog_result run_xmpp(void *state, struct dialog_io *io)
{
    enum dialog_result result = DIALOG_MORE;
    struct xmpp *x = state;
    bool more = false;

    if (x->phase == XMPP_NEW) {
        send_header(io->section, io->out);
        x->phase = XMPP_HEADER;
    }
    while (result == DIALOG_MORE && !more && io->used < io->in_len)
        result = read_item(x, io, &more);
    return result;
}

const struct dialog_ops dialog_xmpp = {"xmpp", REASON_STARTTLS, sizeof(struct xmpp), run_xmpp};
