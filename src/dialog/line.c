/*
 * STARTTLS in the protocols of lines. A protocol is a row: its steps, each of which is a command
 * and the answer to it, and a function that reads the lines of an answer.
 */
#include "dialog/dialog.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/util.h"

/* The maximum length of a line, with its end, and with the literals in it. */
#define LINE_SIZE_MAX 4096

/* A server's words in a message are cut after this many bytes. */
#define LINE_QUOTED_MAX 160

/* A greeting, a list of capabilities, the answer to STARTTLS. */
#define LINE_STEPS_MAX 3

/* A line without its end, or a part of one. */
struct text {
    const char *bytes;
    size_t len;
};

struct line_step {
    const char *name;    /* of the command, in messages; NULL: the server speaks first */
    const char *command; /* NULL: none */
    const char *success; /* the first word of the answer */
    const char *other;   /* another such word, or NULL */
    const char *offers;  /* this capability must be among the lines of the answer; NULL: none */
    bool dotted;         /* lines follow, up to one that is a dot (RFC 1939 section 3) */
};

/* The state of a dialog. */
struct line {
    unsigned step;
    bool asked;     /* the command of the step was sent */
    bool in_answer; /* the answer has begun, and has more lines */
    int code;       /* of the answer, while it has more lines */
    bool offered;   /* the capability was among the lines */
};

enum answer {
    ANSWER_MORE,
    ANSWER_END,        /* it is complete, and a success */
    ANSWER_REFUSED,    /* the server says no */
    ANSWER_UNEXPECTED, /* it is not of the protocol */
    ANSWER_FAILED,     /* io->detail says why */
};

struct line_protocol {
    const char *name;
    bool literals; /* lines may contain literals (RFC 5804 section 4) */
    enum answer (*read)(struct line *l, const struct line_step *step, struct text text,
                        struct dialog_io *io);
    struct line_step steps[LINE_STEPS_MAX];
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static struct text skip(struct text t, size_t n)
{
    return (struct text){t.bytes + n, t.len - n};
}

/* Returns the first word, and leaves in *t what follows it, without the blanks. */
static struct text take_word(struct text *t)
{
    struct text word = {t->bytes, 0};

    while (word.len < t->len && !is_blank(t->bytes[word.len]))
        word.len++;
    *t = skip(*t, word.len);
    while (t->len && is_blank(t->bytes[0]))
        *t = skip(*t, 1);
    return word;
}

static bool is_word(struct text word, const char *expected)
{
    return expected && word.len == strlen(expected)
           && strncasecmp(word.bytes, expected, word.len) == 0;
}

static bool begins_with_word(struct text t, const char *expected)
{
    return is_word(take_word(&t), expected);
}

static bool is_success(const struct line_step *step, struct text word)
{
    return is_word(word, step->success) || is_word(word, step->other);
}

static bool is_greeting(const struct line_step *step)
{
    return !step->name;
}

static void add_greeting(const struct line_step *step, struct text t, struct dialog_io *io)
{
    if (!is_greeting(step))
        return;
    strbuf_add_bytes(io->greeting, t.bytes, t.len);
    strbuf_add(io->greeting, "\r\n");
}

/* Returns the code with which a line begins, such as 220, or 0. */
static int parse_code(struct text t)
{
    if (t.len < 3 || t.bytes[0] < '1' || t.bytes[0] > '5' || !is_digit(t.bytes[1])
        || !is_digit(t.bytes[2]))
        return 0;
    if (t.len > 3 && t.bytes[3] != ' ' && t.bytes[3] != '-')
        return 0;
    return (t.bytes[0] - '0') * 100 + (t.bytes[1] - '0') * 10 + (t.bytes[2] - '0');
}

static bool is_last_of_code(struct text t)
{
    return t.len == 3 || t.bytes[3] == ' ';
}

static enum answer refuse_code(int code)
{
    return code >= 400 ? ANSWER_REFUSED : ANSWER_UNEXPECTED;
}

/* RFC 5321 section 4.2: every line begins with the code, and all but the last with "CODE-". */
static enum answer read_smtp(struct line *l, const struct line_step *step, struct text text,
                             struct dialog_io *io)
{
    const int code = parse_code(text);

    if (code == 0 || (l->in_answer && code != l->code))
        return ANSWER_UNEXPECTED;
    if (!is_success(step, (struct text){text.bytes, 3}))
        return refuse_code(code);
    add_greeting(step, text, io);
    /* the first line of the answer to EHLO is the name of the server */
    if (l->in_answer && text.len > 4 && begins_with_word(skip(text, 4), step->offers))
        l->offered = true;
    l->code = code;
    l->in_answer = !is_last_of_code(text);
    return l->in_answer ? ANSWER_MORE : ANSWER_END;
}

/*
 * RFC 959 section 4.2: the last line begins with the code and a space, as the first one begins with
 * the code and "-". The lines between them are free. A server that is not ready yet says 120 first.
 */
static enum answer read_ftp(struct line *l, const struct line_step *step, struct text text,
                            struct dialog_io *io)
{
    const int code = parse_code(text);
    bool wait;

    if (!l->in_answer) {
        wait = is_greeting(step) && code == 120;
        if (code == 0)
            return ANSWER_UNEXPECTED;
        if (!wait && !is_success(step, (struct text){text.bytes, 3}))
            return refuse_code(code);
        l->code = code;
    }
    wait = l->code == 120;
    if (!wait)
        add_greeting(step, text, io);
    l->in_answer = code != l->code || !is_last_of_code(text);
    return l->in_answer || wait ? ANSWER_MORE : ANSWER_END;
}

/* POP3 (RFC 1939 section 3) and NNTP (RFC 3977 section 3.1): a line, and lines up to a dot. */
static enum answer read_dotted(struct line *l, const struct line_step *step, struct text text,
                               struct dialog_io *io)
{
    struct text rest = text;
    const struct text word = take_word(&rest);

    if (!l->in_answer) {
        if (is_word(word, "-ERR"))
            return ANSWER_REFUSED;
        if (!is_success(step, word))
            return refuse_code(parse_code(text));
        add_greeting(step, text, io);
        l->in_answer = step->dotted;
        return l->in_answer ? ANSWER_MORE : ANSWER_END;
    }
    if (is_word(text, ".")) {
        l->in_answer = false;
        return ANSWER_END;
    }
    if (is_word(word, step->offers))
        l->offered = true;
    return ANSWER_MORE;
}

/*
 * Adds the greeting without its response codes, which came before TLS: CAPABILITY has offers that no
 * longer hold, ALERT would show a text, and REFERRAL leads to another server. What looks like a
 * literal, such as {9}, is removed with all that follows it: some programs would wait for it.
 */
static void add_imap_greeting(const struct line_step *step, struct text text, struct dialog_io *io)
{
    const char *end;

    while (text.len && text.bytes[0] == '[') {
        end = memchr(text.bytes, ']', text.len);
        text = end ? skip(text, (size_t)(end - text.bytes) + 1) : (struct text){"", 0};
        while (text.len && is_blank(text.bytes[0]))
            text = skip(text, 1);
    }
    end = memchr(text.bytes, '{', text.len);
    text.len = end ? (size_t)(end - text.bytes) : text.len;
    strbuf_add(io->greeting, "* OK ");
    add_greeting(step, text.len ? text : (struct text){"ready", strlen("ready")}, io);
}

/* An untagged line, without "* " (RFC 9051 sections 7.1 and 7.2). */
static enum answer read_imap_untagged(struct line *l, const struct line_step *step,
                                      struct text text, struct dialog_io *io)
{
    const struct text word = take_word(&text);

    if (is_word(word, "BYE"))
        return ANSWER_REFUSED;
    if (!is_greeting(step)) {
        if (is_word(word, "CAPABILITY"))
            while (text.len)
                l->offered |= is_word(take_word(&text), step->offers);
        return ANSWER_MORE;
    }
    if (is_word(word, "PREAUTH")) {
        snprintf(io->detail, DIALOG_DETAIL_SIZE,
                 "the server's greeting is PREAUTH, which leaves no room for STARTTLS");
        return ANSWER_FAILED;
    }
    if (!is_word(word, "OK"))
        return ANSWER_UNEXPECTED;
    add_imap_greeting(step, text, io);
    return ANSWER_END;
}

/* Returns true if a word is the tag of a command, which is case-sensitive. */
static bool is_tag(struct text word, const char *command)
{
    return word.len == strcspn(command, " ") && memcmp(word.bytes, command, word.len) == 0;
}

/* RFC 9051 section 2.2.2: lines without a tag, then the result, with the tag of the command. */
static enum answer read_imap(struct line *l, const struct line_step *step, struct text text,
                             struct dialog_io *io)
{
    struct text rest = text;
    const struct text tag = take_word(&rest);

    if (is_word(tag, "*"))
        return read_imap_untagged(l, step, rest, io);
    if (is_greeting(step) || !is_tag(tag, step->command))
        return ANSWER_UNEXPECTED;
    if (begins_with_word(rest, step->success))
        return ANSWER_END;
    return begins_with_word(rest, "NO") || begins_with_word(rest, "BAD") ? ANSWER_REFUSED
                                                                         : ANSWER_UNEXPECTED;
}

/*
 * RFC 5804 section 1.7: the greeting lists the capabilities, one a line, and ends with OK. The
 * server sends them again after TLS (section 2.2), so the local program needs no greeting from us.
 */
static enum answer read_sieve(struct line *l, const struct line_step *step, struct text text,
                              struct dialog_io *io)
{
    const struct text word = take_word(&text);

    (void)io;
    if (is_word(word, "NO") || is_word(word, "BYE"))
        return ANSWER_REFUSED;
    if (is_word(word, step->success))
        return ANSWER_END;
    if (!step->offers || word.len == 0 || word.bytes[0] != '"')
        return ANSWER_UNEXPECTED;
    if (is_word(word, step->offers))
        l->offered = true;
    return ANSWER_MORE;
}

/* The name in EHLO is an address literal: any server accepts it, and it tells nothing. */
static const struct line_protocol line_smtp = {
    .name = "SMTP",
    .read = read_smtp,
    .steps =
        {{.success = "220"},
         {.name = "EHLO", .command = "EHLO [127.0.0.1]", .success = "250", .offers = "STARTTLS"},
         {.name = "STARTTLS", .command = "STARTTLS", .success = "220"}},
};

static const struct line_protocol line_imap = {
    .name = "IMAP",
    .read = read_imap,
    .steps =
        {{.success = "OK"},
         {.name = "CAPABILITY", .command = "A1 CAPABILITY", .success = "OK", .offers = "STARTTLS"},
         {.name = "STARTTLS", .command = "A2 STARTTLS", .success = "OK"}},
};

static const struct line_protocol line_pop3 = {
    .name = "POP3",
    .read = read_dotted,
    .steps =
        {{.success = "+OK"},
         {.name = "CAPA", .command = "CAPA", .success = "+OK", .offers = "STLS", .dotted = true},
         {.name = "STLS", .command = "STLS", .success = "+OK"}},
};

static const struct line_protocol line_nntp = {
    .name = "NNTP",
    .read = read_dotted,
    .steps = {{.success = "200", .other = "201"},
              {.name = "CAPABILITIES",
               .command = "CAPABILITIES",
               .success = "101",
               .offers = "STARTTLS",
               .dotted = true},
              {.name = "STARTTLS", .command = "STARTTLS", .success = "382"}},
};

static const struct line_protocol line_sieve = {
    .name = "ManageSieve",
    .literals = true,
    .read = read_sieve,
    .steps = {{.success = "OK", .offers = "\"STARTTLS\""},
              {.name = "STARTTLS", .command = "STARTTLS", .success = "OK"}},
};

/* RFC 4217 section 4: a server need not list AUTH among its features. */
static const struct line_protocol line_ftp = {
    .name = "FTP",
    .read = read_ftp,
    .steps = {{.success = "220"}, {.name = "AUTH TLS", .command = "AUTH TLS", .success = "234"}},
};

/* Sets the detail, with the server's words at its end, and fails. */
__attribute__((format(printf, 3, 4))) static enum dialog_result
fail(struct dialog_io *io, const struct text *words, const char *format, ...)
{
    size_t n;
    va_list ap;

    va_start(ap, format);
    vsnprintf(io->detail, DIALOG_DETAIL_SIZE, format, ap);
    va_end(ap);
    n = strlen(io->detail);
    if (words)
        snprintf(io->detail + n, DIALOG_DETAIL_SIZE - n, ": %.*s",
                 (int)(words->len < LINE_QUOTED_MAX ? words->len : LINE_QUOTED_MAX), words->bytes);
    return DIALOG_FAILED;
}

static enum dialog_result fail_length(struct dialog_io *io)
{
    return fail(io, NULL, "the server sends a line of more than %d bytes", LINE_SIZE_MAX);
}

static bool has_control_byte(struct text t)
{
    size_t i;

    for (i = 0; i < t.len; i++)
        if (((unsigned char)t.bytes[i] < ' ' && t.bytes[i] != '\t') || t.bytes[i] == 0x7f)
            return true;
    return false;
}

/* Returns true if a line ends in {N} or {N+}, and N bytes and more of the line follow. */
static bool ends_in_literal(struct text t, size_t *n)
{
    size_t i = t.len, digits, unit;

    if (i == 0 || t.bytes[--i] != '}')
        return false;
    if (i > 0 && t.bytes[i - 1] == '+')
        i--;
    *n = 0;
    for (digits = 0, unit = 1; i > 0 && is_digit(t.bytes[i - 1]); digits++, unit *= 10) {
        i--;
        if (digits < 4)
            *n += (size_t)(t.bytes[i] - '0') * unit;
        else if (t.bytes[i] != '0')
            *n = LINE_SIZE_MAX;
    }
    return digits > 0 && i > 0 && t.bytes[i - 1] == '{';
}

/*
 * Takes the next line, with the literals in it, from the input. Returns DIALOG_DONE with *line,
 * DIALOG_MORE if it is incomplete, or DIALOG_FAILED. A line may end in LF alone.
 */
static enum dialog_result next_line(const struct line_protocol *p, struct dialog_io *io,
                                    struct text *line)
{
    const char *start = (const char *)io->in + io->used;
    const size_t len = io->in_len - io->used;
    size_t from = 0, literal;

    for (;;) {
        const char *end = from < len ? memchr(start + from, '\n', len - from) : NULL;
        struct text part = {start + from, end ? (size_t)(end - start) - from : 0};

        if ((end ? from + part.len + 1 : len + 1) > LINE_SIZE_MAX || from >= LINE_SIZE_MAX)
            return fail_length(io);
        if (!end)
            return DIALOG_MORE;
        if (part.len && part.bytes[part.len - 1] == '\r')
            part.len--;
        if (has_control_byte(part))
            return fail(io, &part, "the server sends a control byte in a line");
        if (!p->literals || !ends_in_literal(part, &literal)) {
            *line = (struct text){start, from + part.len};
            io->used += (size_t)(end - start) + 1;
            return DIALOG_DONE;
        }
        from = (size_t)(end - start) + 1 + literal;
    }
}

static enum dialog_result refuse(const struct line_protocol *p, const struct line_step *step,
                                 enum answer answer, struct text text, struct dialog_io *io)
{
    if (answer == ANSWER_FAILED)
        return DIALOG_FAILED;
    if (answer == ANSWER_REFUSED)
        return fail(io, &text, "the server refuses %s", step->name ? step->name : "the connection");
    if (is_greeting(step))
        return fail(io, &text, "the server's greeting is not one of %s", p->name);
    return fail(io, &text, "the server's answer to %s is not one of %s", step->name, p->name);
}

static bool is_last(const struct line_protocol *p, unsigned step)
{
    return step + 1 == LINE_STEPS_MAX || !p->steps[step + 1].success;
}

static enum dialog_result line_run(const struct line_protocol *p, struct line *l,
                                   struct dialog_io *io)
{
    for (;;) {
        const struct line_step *step = &p->steps[l->step];
        enum dialog_result result;
        enum answer answer;
        struct text text;

        if (!l->asked && step->command)
            strbuf_addf(io->out, "%s\r\n", step->command);
        l->asked = true;
        result = next_line(p, io, &text);
        if (result != DIALOG_DONE)
            return result;
        answer = p->read(l, step, text, io);
        if (answer == ANSWER_MORE)
            continue;
        if (answer != ANSWER_END)
            return refuse(p, step, answer, text, io);
        if (step->offers && !l->offered)
            return fail(io, NULL, "the server does not offer STARTTLS");
        if (is_last(p, l->step))
            return DIALOG_DONE;
        *l = (struct line){.step = l->step + 1};
    }
}

#define LINE_DIALOG(protocol)                                                                      \
    static enum dialog_result run_##protocol(void *state, struct dialog_io *io)                    \
    {                                                                                              \
        return line_run(&line_##protocol, state, io);                                              \
    }                                                                                              \
    const struct dialog_ops dialog_##protocol = {#protocol, REASON_STARTTLS, sizeof(struct line),  \
                                                 run_##protocol}

LINE_DIALOG(smtp);
LINE_DIALOG(imap);
LINE_DIALOG(pop3);
LINE_DIALOG(ftp);
LINE_DIALOG(nntp);
LINE_DIALOG(sieve);
