#include "config/inifile.h"

#include <ctype.h>
#include <ini.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hostname.h"

/* MAX_NAME of inih's ini.c, without the NUL. */
#define KEY_MAX 49

/* The reader of one file. It gives lines to inih, and stores the number of the current one. */
struct reader {
    struct location where;
    const char *next;
    const char *end;
    struct arena *arena;
    struct inifile *out;
    struct diag_list *diags;
    const char *section; /* NULL before the first, and after a wrong header */
    bool have_header;    /* there was a header, perhaps a wrong one */
    bool have_key;       /* an indented line would add a value to an option */
    bool continued;      /* the current line does that */
    const char *comment; /* after its value, or NULL */
};

static struct inifile_entry *add_entry(struct reader *r, const char *key, const char *value)
{
    struct inifile_entry *e;

    r->out->entries = arena_grow(r->arena, r->out->entries, r->out->count, sizeof(*e));
    e = &r->out->entries[r->out->count++];
    e->where = r->where;
    e->section = r->section;
    e->key = key;
    e->value = value;
    e->comment = r->comment;
    return e;
}

static void trim_blanks(const char **s, size_t *n)
{
    while (*n && isspace((unsigned char)**s)) {
        (*s)++;
        (*n)--;
    }
    while (*n && isspace((unsigned char)(*s)[*n - 1]))
        (*n)--;
}

/* Returns true if a comment starts at s[i]: a semicolon with white space before it. */
static bool starts_comment(const char *s, size_t i)
{
    return i > 0 && s[i] == ';' && isspace((unsigned char)s[i - 1]);
}

/* Reads "[name]", perhaps with a comment. Returns false if inih must not see the line. */
static bool read_header(struct reader *r, const char *s, size_t n)
{
    const char *close, *rest;
    size_t rest_len, end = 0;

    r->section = NULL;
    r->have_header = true;
    r->have_key = false;
    while (end < n && s[end] != ']' && !starts_comment(s, end))
        end++;
    close = s + end;
    if (end == n || *close != ']') {
        diag_add(r->diags, r->where, "section header without ']': write [NAME]");
        return false;
    }
    rest = close + 1;
    rest_len = n - (size_t)(rest - s);
    trim_blanks(&rest, &rest_len);
    if (rest_len && *rest != ';' && *rest != '#') {
        diag_add(r->diags, r->where,
                 s[1] == '[' ? "IPv6 address with two pairs of brackets: write one pair, and a "
                               "port as 'port = N'"
                             : "text after ']': only a comment may follow a section header");
        return false;
    }
    n = (size_t)(close - s) - 1;
    s++;
    trim_blanks(&s, &n);
    if (n == 0) {
        diag_add(r->diags, r->where, "section header without a name: write [NAME]");
        return false;
    }
    if (n > INIFILE_SECTION_MAX) {
        diag_add(r->diags, r->where,
                 "section name too long: it has %zu bytes, and the maximum is %d: choose a shorter "
                 "name and set 'host = %.*s' in the section",
                 n, INIFILE_SECTION_MAX, (int)n, s);
        return false;
    }
    r->section = arena_strndup(r->arena, s, n);
    add_entry(r, NULL, NULL);
    return true;
}

/* Reads "key = value". Returns false if inih must not see the line. */
static bool check_key(struct reader *r, const char *s, size_t n)
{
    const char *separator;
    size_t key = 0;

    while (key < n && s[key] != '=' && s[key] != ':' && !starts_comment(s, key))
        key++;
    separator = s + key;
    if (key == n || *separator == ';') {
        diag_add(r->diags, r->where, "expected 'OPTION = VALUE' or '[SECTION]', found '%.*s'",
                 (int)n, s);
        return false;
    }
    while (key && isspace((unsigned char)s[key - 1]))
        key--;
    if (key == 0) {
        diag_add(r->diags, r->where, "no option name before '%c': write OPTION = VALUE",
                 *separator);
        return false;
    }
    if (key > KEY_MAX) {
        diag_add(r->diags, r->where, "unknown option '%.*s'", (int)key, s);
        return false;
    }
    r->have_key = true;
    return true;
}

/*
 * Returns true if an indented line is a section header, "[name]" with only a comment after it. An
 * IPv6 address in brackets is none: it may be a value.
 */
static bool is_header(const char *s, size_t n)
{
    const char *close = n && *s == '[' ? memchr(s, ']', n) : NULL;
    char name[INET6_ADDRSTRLEN + IF_NAMESIZE];
    size_t i;

    if (!close)
        return false;
    for (i = (size_t)(close - s) + 1; i < n && isspace((unsigned char)s[i]); i++)
        ;
    if (i < n && s[i] != ';' && s[i] != '#')
        return false;
    n = (size_t)(close - s) - 1;
    if (n >= sizeof(name))
        return true;
    memcpy(name, s + 1, n);
    name[n] = '\0';
    return !hostname_is_ip(name);
}

static const char *find_comment(struct reader *r, const char *s, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++)
        if (starts_comment(s, i))
            return arena_strndup(r->arena, s + i, n - i);
    return NULL;
}

/*
 * Returns true if inih may see this line (without its newline). *flush: without its indentation.
 */
static bool check_line(struct reader *r, const char *line, size_t n, size_t max, bool *flush)
{
    const char *s = line;
    size_t len = n;
    bool indented;

    *flush = false;
    r->continued = false;
    r->comment = NULL;
    if (r->where.line == 1 && n >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
        s += 3;
        len -= 3;
    }
    indented = len && isspace((unsigned char)*s);
    if (memchr(line, '\0', n)) {
        diag_add(r->diags, r->where, "NUL byte: this is not a text file");
        return false;
    }
    trim_blanks(&s, &len);
    if (len == 0)
        return false;
    /* some editors show it as the end of a line, so a comment could hide an option */
    if (memchr(s, '\r', len)) {
        diag_add(r->diags, r->where,
                 "carriage return within the line: save the file with lines that end in LF");
        return false;
    }
    if (n > max) {
        diag_add(r->diags, r->where,
                 "line too long: it has %zu bytes, and the maximum is %zu: continue a list on "
                 "indented lines, and a comment on another line",
                 n, max);
        return false;
    }
    if (*s == ';' || *s == '#')
        return false;
    if (indented && (r->have_key ? is_header(s, len) : *s != '[')) {
        diag_add(r->diags, r->where,
                 "%s is indented: remove the blanks and tabs before it, because an indented line "
                 "adds a value to the option above it",
                 *s == '[' ? "this section header" : "this option");
        *flush = true;
    } else if (indented && r->have_key) {
        r->comment = find_comment(r, s, len);
        r->continued = true;
        return r->section != NULL;
    }
    if (*s == '[')
        return read_header(r, s, len);
    if (!check_key(r, s, len))
        return false;
    r->comment = find_comment(r, s, len);
    if (!r->section) {
        if (!r->have_header)
            diag_add(
                r->diags, r->where,
                "option before the first section header: move it below [global], [defaults] or "
                "[HOST]");
        return false;
    }
    return true;
}

/* The fgets(3) of inih: returns the next line, or an empty one if inih must not see it. */
static char *next_line(char *out, int size, void *stream)
{
    struct reader *r = stream;
    const size_t room = size > 1 ? (size_t)size - 1 : 0;
    const char *newline, *start;
    size_t n, taken;
    bool flush;

    if (r->next == r->end)
        return NULL;
    r->where.line++;
    newline = memchr(r->next, '\n', (size_t)(r->end - r->next));
    n = newline ? (size_t)(newline - r->next) : (size_t)(r->end - r->next);
    /* without the newline, so that a line may fill the buffer */
    taken = check_line(r, r->next, n, room, &flush) ? n : 0;
    start = r->next;
    for (; flush && taken && isspace((unsigned char)*start); taken--)
        start++;
    memcpy(out, start, taken);
    out[taken] = '\0';
    r->next += newline ? n + 1 : n;
    return out;
}

/* Removes " ; comment", which inih leaves on an indented line. */
static char *copy_value(struct arena *arena, const char *value)
{
    size_t n = strlen(value), i;

    for (i = 0; i < n; i++) {
        if (starts_comment(value, i)) {
            n = i;
            break;
        }
    }
    while (n && isspace((unsigned char)value[n - 1]))
        n--;
    return arena_strndup(arena, value, n);
}

static int on_key(void *user, const char *section, const char *key, const char *value)
{
    struct reader *r = user;
    struct inifile_entry *e;

    (void)section; /* inih's is cut, ours is not */
    if (!key || !value)
        return 1;
    e = add_entry(r, arena_strdup(r->arena, key), copy_value(r->arena, value));
    e->continued = r->continued;
    return 1;
}

void inifile_parse(const char *path, const char *text, size_t len, struct arena *arena,
                   struct inifile *out, struct diag_list *diags)
{
    struct reader r = {
        .where = {.file = path, .line = 0},
        .next = text,
        .end = text + len,
        .arena = arena,
        .out = out,
        .diags = diags,
    };
    int failed = ini_parse_stream(next_line, &r, on_key, &r);

    if (failed && diags->count == 0) {
        r.where.line = failed > 0 ? (unsigned)failed : 0;
        diag_add(diags, r.where, "not an INI file");
    }
}

void inifile_read(const char *path, enum file_origin origin, struct arena *arena,
                  struct inifile *out, struct diag_list *diags)
{
    const struct location where = {.file = path};
    const char *why;
    char *text;
    size_t len;

    why = file_read(path, origin, FILE_SIZE_MAX, &text, &len);
    if (why) {
        diag_add(diags, where, "%s", why);
        return;
    }
    inifile_parse(path, text, len, arena, out, diags);
    free(text);
}
