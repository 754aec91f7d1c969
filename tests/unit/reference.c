/* config/inifile: random files, against a reader of the same syntax that knows nothing of inih. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "entries.h"
#include "help.h"

/*
 * The reference: the syntax of pinproxyd.conf(5), read without inih. Writes the outline of the
 * entries before the first faulty line, and returns that line, or 0.
 */

static const char *const spaces = " \t\r\v\f";

static void strip(char **s)
{
    size_t n;

    *s += strspn(*s, spaces);
    for (n = strlen(*s); n && strchr(spaces, (*s)[n - 1]); n--)
        (*s)[n - 1] = '\0';
}

static void strip_comment(char *s)
{
    char *p;

    for (p = s; *p; p++)
        if (*p == ';' && p > s && strchr(spaces, p[-1]))
            break;
    *p = '\0';
}

/* "[a]", perhaps with a comment. None of the tokens below is an IPv6 address. */
static bool is_reference_head(const char *s)
{
    const char *end = *s == '[' ? strchr(s, ']') : NULL;

    return end && strchr(";#", end[1 + strspn(end + 1, spaces)]);
}

static bool reference_line(char *line, unsigned number, char *key, struct strbuf *out)
{
    const bool indented = *line && strchr(spaces, *line);
    char *s = line, *end;

    strip(&s);
    if (strchr(s, '\r'))
        return false;
    if (!*s || *s == ';' || *s == '#')
        return *s ? strlen(line) <= 199 : true;
    if (strlen(line) > 199)
        return false;
    if (indented && (*key ? is_reference_head(s) : *s != '['))
        return false;
    if (indented && *key) {
        strip_comment(s);
        strip(&s);
        strbuf_addf(out, " %u%s+=%s", number, key, s);
        return true;
    }
    if (*s == '[') {
        end = strchr(s, ']');
        if (!end)
            return false;
        *end++ = '\0';
        s++;
        if (strstr(s, " ;") || strstr(s, "\t;")) {
            *key = '\1'; /* see a_semicolon_inside_of_a_head_is_an_error */
            return false;
        }
        strip(&s);
        strip(&end);
        if (!*s || strlen(s) > 49 || (*end && *end != ';' && *end != '#'))
            return false;
        *key = '\0';
        strbuf_addf(out, " %u[%s]", number, s);
        return true;
    }
    end = strpbrk(s, "=:");
    if (!end || out->len == 0)
        return false;
    *end++ = '\0';
    if (strstr(s, " ;") || strstr(s, "\t;"))
        return false;
    strip(&s);
    if (!*s || strlen(s) > 49)
        return false;
    strcpy(key, s);
    strip_comment(end);
    strip(&end);
    strbuf_addf(out, " %u%s=%s", number, key, end);
    return true;
}

#define UNSETTLED (~0U)

static unsigned reference(const char *text, size_t n, struct strbuf *out)
{
    char key[64] = "";
    unsigned number = 0;

    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        n -= 3;
    }
    while (n) {
        const char *newline = memchr(text, '\n', n);
        size_t len = newline ? (size_t)(newline - text) : n;
        char *line = xstrndup(text, len);
        bool ok = !memchr(line, 0, len) && reference_line(line, ++number, key, out);

        free(line);
        if (!ok)
            return *key == '\1' ? UNSETTLED : number;
        text += len + (newline ? 1 : 0);
        n -= len + (newline ? 1 : 0);
    }
    return 0;
}

static void random_files_are_read_as_the_manual_says(void **state)
{
    static const char *const tokens[] = {
        "\n",          "\n",
        "\n",          "\n ",
        "\r\n",        "\n\t",
        " ",           "\t",
        "[a]",         "\n[b]\n",
        "[",           "]",
        "k",           "key",
        " = ",         "= ",
        ":",           "= v",
        "v",           "w x",
        " ;",          " ; c",
        ";",           "#",
        "\n#",         "\n;",
        "\nk = v\n",   "\nl: 1 2 ; c\n  3\n",
        "\n[c] ; c\n", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    };
    uint32_t seed = 20270115;
    int round, clean = 0;

    (void)state;
    for (round = 0; round < 60000; round++) {
        struct strbuf text = {0}, want = {0};
        unsigned count = 1 + random_next(&seed) % 24, fault, i;
        struct entries r;
        char *got;

        strbuf_add(&text, random_next(&seed) % 8 ? "[s]\n" : "");
        while (count--)
            strbuf_add(&text, tokens[random_next(&seed) % COUNT(tokens)]);
        if (strstr(strbuf_text(&text), "=;") || strstr(strbuf_text(&text), ":;")) {
            strbuf_free(&text); /* see a_value_that_starts_with_a_semicolon_is_not_dropped */
            continue;
        }
        fault = reference(strbuf_text(&text), text.len, &want);
        entries_parse(&r, strbuf_text(&text), text.len);
        if (fault == 0) {
            clean++;
            got = entries_outline(&r.file);
            if (r.diags.count || strcmp(got, want.len ? want.data + 1 : "") != 0)
                fail_msg("\n---\n%s\n---\nwant%s\ngot  %s\n%s", strbuf_text(&text),
                         strbuf_text(&want), got, r.diags.count ? r.diags.items[0].text : "");
            free(got);
        } else if (fault != UNSETTLED) {
            unsigned first = ~0U;

            for (i = 0; i < r.diags.count; i++)
                if (r.diags.items[i].line < first)
                    first = r.diags.items[i].line;
            if (first != fault)
                fail_msg("\n---\n%s\n---\nfault in line %u, reported %u", strbuf_text(&text), fault,
                         first);
        }
        entries_done(&r);
        strbuf_free(&text);
        strbuf_free(&want);
    }
    assert_true(clean > 1000); /* or it would have compared nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_files_are_read_as_the_manual_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
