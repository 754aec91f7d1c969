#include "config/words.h"

#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"

static const char blanks[] = " \t\n";

/* Appends what is between double quotes, of which the first was read. Returns NULL if none ends it. */
static const char *read_double(const char *p, struct strbuf *word)
{
    for (; *p && *p != '"'; p++) {
        if (*p == '\\' && p[1] && strchr("$`\"\\", p[1]))
            p++;
        strbuf_add_bytes(word, p, 1);
    }
    return *p ? p + 1 : NULL;
}

static const char *read_single(const char *p, struct strbuf *word)
{
    const char *end = strchr(p, '\'');

    if (!end)
        return NULL;
    strbuf_add_bytes(word, p, (size_t)(end - p));
    return end + 1;
}

/* Appends a word. Returns what is behind it, or NULL after setting *why. */
static const char *read_word(const char *p, struct strbuf *word, const char **why)
{
    while (p && *p && !strchr(blanks, *p)) {
        if (*p == '\\' && !p[1]) {
            *why = "a backslash at the end quotes nothing";
            return NULL;
        }
        if (*p == '\'') {
            p = read_single(p + 1, word);
        } else if (*p == '"') {
            p = read_double(p + 1, word);
        } else {
            p += *p == '\\';
            strbuf_add_bytes(word, p++, 1);
        }
    }
    if (!p)
        *why = "a quote is not closed (a ';' after a blank starts a comment, also in quotes)";
    return p;
}

const char *words_split(const char *text, struct arena *arena, const char ***argv, size_t *count)
{
    const char **words = arena_alloc(arena, (WORDS_MAX + 1) * sizeof(*words));
    const char *why = NULL;
    size_t n = 0;

    for (text += strspn(text, blanks); *text && !why; text += strspn(text, blanks)) {
        struct strbuf word = {0};

        if (n == WORDS_MAX)
            return "it has more than 64 words";
        text = read_word(text, &word, &why);
        words[n++] = arena_strdup(arena, strbuf_text(&word));
        strbuf_free(&word);
        if (why)
            return why;
    }
    words[n] = NULL;
    *argv = words;
    *count = n;
    return NULL;
}
