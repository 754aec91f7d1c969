#include "learned/learnedfile.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/hostname.h"
#include "base/mem.h"

#define LINE_MAX 1024

static const char *read_line(struct learnedfile_line *line)
{
    struct learned_key key;
    bool is_key;
    const char *why = learnedkey_parse(line->text, &key, &is_key);

    if (why || !is_key)
        return why;
    line->key = xmalloc(sizeof(key));
    *line->key = key;
    return NULL;
}

/* The keys of one section, found by its name: a file may have very many of both. */
struct owner {
    const struct learned_key *keys[LEARNED_KEYS_MAX];
    size_t count;
};

static int compare_owners(const void *a, const void *b)
{
    const struct owner *x = a, *y = b;

    return hostname_compare(x->keys[0]->section, y->keys[0]->section);
}

/* Checks a key against those in the lines before it. Returns NULL, or what is wrong. */
static const char *check_against(void **owners, const struct learned_key *k)
{
    struct owner *o = xcalloc(1, sizeof(*o)), **found;
    size_t i;

    o->keys[o->count++] = k;
    found = tsearch(o, owners, compare_owners);
    if (found && *found == o)
        return NULL;
    free(o);
    if (!found)
        return "out of memory";
    o = *found;
    for (i = 0; i < o->count; i++) {
        if (learnedkey_same(o->keys[i], k))
            return "the same key is in an earlier line: remove one of the lines";
        if (o->keys[i]->refused && k->refused)
            return "the section has another refused key: remove one of the lines";
    }
    if (o->count == LEARNED_KEYS_MAX)
        return "the section has too many keys, the maximum is 32: remove some of the lines";
    o->keys[o->count++] = k;
    return NULL;
}

static struct learnedfile_line *append_line(struct learnedfile *f, char *text)
{
    struct learnedfile_line *line;

    if (f->count == f->size) {
        f->size = f->size ? f->size * 2 : 16;
        f->lines = xrealloc(f->lines, f->size * sizeof(*f->lines));
    }
    line = &f->lines[f->count++];
    memset(line, 0, sizeof(*line));
    line->text = text;
    return line;
}

/*
 * As a part of a section's name, a byte order mark would have that section learn its key again. It
 * may be in front of any line: files were joined, or the lines above it were removed.
 */
static const char *skip_marks(const char *text, const char *end)
{
    while (end - text >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3;
    return text;
}

char *learnedfile_parse(const char *text, size_t len, struct learnedfile *f, unsigned *number)
{
    const char *end = text + len, *why = NULL, *newline;
    void *owners = NULL;

    memset(f, 0, sizeof(*f));
    for (*number = 1; text < end; text = newline + 1, ++*number) {
        struct learnedfile_line *line;
        size_t n;

        text = skip_marks(text, end);
        newline = memchr(text, '\n', (size_t)(end - text));
        n = (size_t)((newline ? newline : end) - text);
        if (len > LEARNEDFILE_MAX)
            why = "the file is too large, the maximum is 4 MiB";
        else if (memchr(text, '\0', n))
            why = "a NUL byte: expected text";
        else if (n > LINE_MAX)
            why = "the line is too long, the maximum is 1024 bytes";
        if (why)
            break;
        line = append_line(f, xstrndup(text, n));
        why = read_line(line);
        if (!why && line->key)
            why = check_against(&owners, line->key);
        if (why || !newline)
            break;
    }
    tdestroy(owners, free);
    if (!why)
        return NULL;
    learnedfile_free(f);
    return xstrdup(why);
}

void learnedfile_print(const struct learnedfile *f, struct strbuf *out)
{
    size_t i;

    for (i = 0; i < f->count; i++)
        strbuf_addf(out, "%s\n", f->lines[i].text);
}

static void free_line(struct learnedfile_line *line)
{
    free(line->text);
    free(line->key);
}

void learnedfile_free(struct learnedfile *f)
{
    size_t i;

    for (i = 0; i < f->count; i++)
        free_line(&f->lines[i]);
    free(f->lines);
    memset(f, 0, sizeof(*f));
}

bool learnedfile_same_keys(const struct learnedfile *a, const struct learnedfile *b)
{
    size_t i = 0, j = 0;

    for (;; i++, j++) {
        while (i < a->count && !a->lines[i].key)
            i++;
        while (j < b->count && !b->lines[j].key)
            j++;
        if (i == a->count || j == b->count)
            return i == a->count && j == b->count;
        if (!learnedkey_equal(a->lines[i].key, b->lines[j].key))
            return false;
    }
}

/* Changes. */

/* Writes the line again from its key, which has changed. A comment behind it stays. */
static void update_line(struct learnedfile_line *line)
{
    const char *comment = line->text ? line->text + learnedkey_comment(line->text) : "";
    char *key = learnedkey_format(line->key), *text;

    text = xasprintf("%s%s%s", key, *comment ? " " : "", comment);
    free(key);
    free(line->text);
    line->text = text;
}

static void remove_line(struct learnedfile *f, size_t index)
{
    free_line(&f->lines[index]);
    f->count--;
    memmove(&f->lines[index], &f->lines[index + 1], (f->count - index) * sizeof(*f->lines));
}

static bool is_of_section(const struct learnedfile_line *line, const char *section)
{
    return line->key && hostname_compare(line->key->section, section) == 0;
}

/* Appends a key, if the section may have one more. */
static enum learned_result append_key(struct learnedfile *f, const struct learned_key *key)
{
    struct learnedfile_line *line;
    size_t n = 0, i;

    for (i = 0; i < f->count; i++)
        n += is_of_section(&f->lines[i], key->section);
    if (n >= LEARNED_KEYS_MAX)
        return LEARNED_FAILED;
    line = append_line(f, NULL);
    line->key = xmalloc(sizeof(*key));
    *line->key = *key;
    update_line(line);
    return LEARNED_DONE;
}

/* Removes the refused key of a section. If digest is not NULL, only if it is that key. */
static void remove_refused(struct learnedfile *f, const char *section, const uint8_t *digest)
{
    size_t i;

    for (i = f->count; i-- > 0;) {
        const struct learned_key *k = f->lines[i].key;

        if (is_of_section(&f->lines[i], section) && k->refused
            && (!digest || memcmp(k->digest, digest, CERT_DIGEST_SIZE) == 0))
            remove_line(f, i);
    }
}

/* Returns true if the file has this key, accepted or refused. */
static bool has_key(const struct learnedfile *f, const struct learned_key *key)
{
    size_t i;

    for (i = 0; i < f->count; i++)
        if (is_of_section(&f->lines[i], key->section) && learnedkey_same(f->lines[i].key, key))
            return true;
    return false;
}

enum learned_result learnedfile_add(struct learnedfile *f, const struct learned_key *key)
{
    size_t i;

    for (i = 0; i < f->count; i++) {
        const struct learned_key *k = f->lines[i].key;

        if (is_of_section(&f->lines[i], key->section) && strcasecmp(k->hostport, key->hostport) == 0
            && k->from == LEARNED_TOFU && !k->refused)
            return memcmp(k->digest, key->digest, CERT_DIGEST_SIZE) == 0 ? LEARNED_SAME
                                                                         : LEARNED_OTHER;
    }
    remove_refused(f, key->section, key->digest);
    return append_key(f, key);
}

enum learned_result learnedfile_refuse(struct learnedfile *f, const struct learned_key *key)
{
    struct learned_key refused = *key;

    if (has_key(f, key))
        return LEARNED_SAME;
    remove_refused(f, key->section, NULL);
    refused.refused = true;
    return append_key(f, &refused);
}

static const struct learned_key *find_announced(const struct learned_announcement *a,
                                                const struct learned_key *key)
{
    size_t i;

    for (i = 0; i < a->count; i++)
        if (learnedkey_same(key, &a->keys[i]))
            return &a->keys[i];
    return NULL;
}

/* Brings a line up to date with what its host announces. Returns true if that changes it. */
static bool update_announced(struct learnedfile *f, size_t index,
                             const struct learned_announcement *a)
{
    struct learnedfile_line *line = &f->lines[index];
    const struct learned_key *again = find_announced(a, line->key);

    if (!again) {
        remove_line(f, index);
        return true;
    }
    if (again->until == line->key->until && learnedkey_same_via(&again->via, &line->key->via))
        return false;
    line->key->until = again->until;
    line->key->via = again->via;
    update_line(line);
    return true;
}

enum learned_result learnedfile_announce(struct learnedfile *f,
                                         const struct learned_announcement *a)
{
    enum learned_result result = LEARNED_SAME;
    size_t i;

    for (i = f->count; i-- > 0;) {
        const struct learned_key *k = f->lines[i].key;

        if (is_of_section(&f->lines[i], a->section) && k->from == LEARNED_PINS_URL
            && strcasecmp(k->hostport, a->hostport) == 0 && update_announced(f, i, a))
            result = LEARNED_DONE;
    }
    for (i = 0; i < a->count; i++) {
        if (has_key(f, &a->keys[i]))
            continue;
        result = append_key(f, &a->keys[i]);
        if (result == LEARNED_FAILED)
            break;
    }
    return result;
}

enum learned_result learnedfile_remove(struct learnedfile *f, const struct learned_key *keys,
                                       size_t count)
{
    enum learned_result result = LEARNED_SAME;
    size_t i, j;

    for (i = f->count; i-- > 0;) {
        for (j = 0; f->lines[i].key && j < count; j++)
            if (learnedkey_equal(f->lines[i].key, &keys[j]))
                break;
        if (!f->lines[i].key || j == count)
            continue;
        remove_line(f, i);
        result = LEARNED_DONE;
    }
    return result;
}

enum learned_result learnedfile_forget(struct learnedfile *f, const char *section)
{
    enum learned_result result = LEARNED_SAME;
    size_t i;

    for (i = f->count; i-- > 0;) {
        if (!is_of_section(&f->lines[i], section))
            continue;
        remove_line(f, i);
        result = LEARNED_DONE;
    }
    return result;
}

/* Returns why a key cannot be accepted. refused is the key that is refused, or NULL. */
static enum learned_result not_refused(const struct learnedfile *f, const char *section,
                                       const uint8_t digest[CERT_DIGEST_SIZE],
                                       const struct learned_key *refused, struct learned_key *key)
{
    size_t i;

    for (i = 0; i < f->count; i++) {
        const struct learned_key *k = f->lines[i].key;

        if (!is_of_section(&f->lines[i], section) || k->from != LEARNED_TOFU || k->refused
            || memcmp(k->digest, digest, CERT_DIGEST_SIZE) != 0)
            continue;
        *key = *k;
        return LEARNED_SAME;
    }
    if (!refused)
        return LEARNED_NONE;
    *key = *refused;
    return LEARNED_OTHER;
}

enum learned_result learnedfile_accept(struct learnedfile *f, const char *section,
                                       const uint8_t digest[CERT_DIGEST_SIZE], int64_t today,
                                       struct learned_key *key)
{
    struct learned_key *refused = NULL;
    size_t i;

    for (i = 0; i < f->count && !refused; i++)
        if (is_of_section(&f->lines[i], section) && f->lines[i].key->refused)
            refused = f->lines[i].key;
    if (!refused || memcmp(refused->digest, digest, CERT_DIGEST_SIZE) != 0)
        return not_refused(f, section, digest, refused, key);
    refused->refused = false;
    refused->first_seen = today;
    update_line(&f->lines[i - 1]);
    *key = *refused;
    /* it takes the place of those that were accepted until now */
    for (i = f->count; i-- > 0;) {
        const struct learned_key *k = f->lines[i].key;

        if (is_of_section(&f->lines[i], section) && k->from == LEARNED_TOFU
            && !learnedkey_same(k, key) && strcasecmp(k->hostport, key->hostport) == 0)
            remove_line(f, i);
    }
    return LEARNED_DONE;
}
