/*
 * The file of learned pins. What is read prints as it was; what is changed in it leaves the other
 * lines as they were, and can be read again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/hostname.h"
#include "base/mem.h"
#include "learned/learnedfile.h"

#define TODAY (INT64_C(20783) * 86400)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
    if (!ok)
        abort();
}

/* A text that has been read once is read again. */
static struct learnedfile read_good(const char *text, size_t len)
{
    struct learnedfile f;
    unsigned line;
    char *why = learnedfile_parse(text, len, &f, &line);

    need(!why);
    return f;
}

static void check_keys(const struct learnedfile *f)
{
    static const uint8_t zero[CERT_DIGEST_SIZE];
    const struct learned_key *k, *other;
    size_t i, j, same, refused;

    for (i = 0; i < f->count; i++) {
        k = f->lines[i].key;
        if (!k)
            continue;
        need(*k->section && !strpbrk(k->section, " \t\n") && *k->section != '#');
        need(strchr(k->hostport, ':') && !strpbrk(k->hostport, " \t\n"));
        need(memcmp(k->digest, zero, sizeof(zero)) != 0);
        need(k->first_seen >= 0 && k->until >= 0 && !(k->refused && k->from == LEARNED_PINS_URL));
        for (same = refused = j = 0; j < f->count; j++) {
            other = f->lines[j].key;
            if (!other || hostname_compare(other->section, k->section) != 0)
                continue;
            same++;
            refused += other->refused;
        }
        need(same <= LEARNED_KEYS_MAX && refused <= 1);
    }
}

/* The lines that have no key of the section, as text. */
static char *others(const struct learnedfile *f, const char *section)
{
    struct strbuf text = {0};
    size_t i;

    for (i = 0; i < f->count; i++)
        if (!f->lines[i].key || hostname_compare(f->lines[i].key->section, section) != 0)
            strbuf_addf(&text, "%s\n", f->lines[i].text);
    strbuf_add(&text, "");
    return strbuf_detach(&text);
}

/* After a change that concerns one section. */
static void check_change(struct learnedfile *f, const char *section, const char *before,
                         enum learned_result result)
{
    struct strbuf text = {0};
    struct learnedfile again;
    char *after = others(f, section), *why;
    unsigned line;

    need(!before || !after ? before == after : strcmp(before, after) == 0);
    free(after);
    if (result != LEARNED_FAILED) {
        learnedfile_print(f, &text);
        why = learnedfile_parse(strbuf_text(&text), text.len, &again, &line);
        /* a comment may have been moved too far; nothing else */
        need(!why || strstr(why, "too long"));
        need(why || learnedfile_same_keys(f, &again));
        if (!why)
            learnedfile_free(&again);
        free(why);
    }
    strbuf_free(&text);
    learnedfile_free(f);
}

/* Every change, to the section and with the key that stand in a line. */
static void change(const char *text, size_t len, const struct learned_key *k, const char *before)
{
    struct learned_key keys[2] = {*k, *k}, accepted;
    const struct learned_announcement announcement = {k->section, k->hostport, keys, 2};
    struct learnedfile f;
    enum learned_result result;

    keys[0].first_seen = TODAY;
    keys[0].until = 0;
    keys[0].from = LEARNED_TOFU;
    keys[0].refused = false;
    keys[0].via.known = false;
    keys[1] = keys[0];
    keys[1].digest[0] ^= 1;

    f = read_good(text, len);
    result = learnedfile_add(&f, &keys[1]);
    check_change(&f, k->section, before, result);
    f = read_good(text, len);
    result = learnedfile_refuse(&f, &keys[1]);
    check_change(&f, k->section, before, result);
    f = read_good(text, len);
    result = learnedfile_accept(&f, k->section, k->digest, TODAY, &accepted);
    need(!k->refused || result == LEARNED_DONE || result == LEARNED_SAME);
    need(result != LEARNED_DONE || (!accepted.refused && accepted.first_seen == TODAY));
    check_change(&f, k->section, before, result);
    f = read_good(text, len);
    result = learnedfile_forget(&f, k->section);
    need(result == LEARNED_DONE);
    need(learnedfile_forget(&f, k->section) == LEARNED_SAME);
    check_change(&f, k->section, before, result);

    keys[0].from = keys[1].from = LEARNED_PINS_URL;
    keys[0].until = keys[1].until = TODAY;
    f = read_good(text, len);
    result = learnedfile_announce(&f, &announcement);
    need(result == LEARNED_FAILED || learnedfile_announce(&f, &announcement) == LEARNED_SAME);
    check_change(&f, k->section, before, result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct learnedfile f, again;
    struct strbuf printed = {0};
    unsigned line = 0;
    char *why = learnedfile_parse(text, size, &f, &line), *before;
    size_t i, changed = 0;

    if (why) {
        need(*why && line > 0 && !f.lines && f.count == 0);
        free(why);
        return 0;
    }
    check_keys(&f);
    learnedfile_print(&f, &printed);
    if (!memmem(text, size, "\xef\xbb\xbf", 3)) { /* byte order marks go */
        need(printed.len == size || (printed.len == size + 1 && printed.data[size] == '\n'));
        need(size == 0 || memcmp(printed.data, text, size) == 0);
    }
    again = read_good(strbuf_text(&printed), printed.len);
    need(again.count == f.count && learnedfile_same_keys(&f, &again));
    learnedfile_free(&again);
    for (i = 0; i < f.count && changed < 4; i++) {
        if (!f.lines[i].key)
            continue;
        before = others(&f, f.lines[i].key->section);
        change(text, size, f.lines[i].key, before);
        free(before);
        changed++;
    }
    strbuf_free(&printed);
    learnedfile_free(&f);
    return 0;
}
