/* learned/learnedfile: lines of learned keys, in memory. What people wrote beside them stays. */
#include "learned/learnedfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/hostname.h"
#include "base/mem.h"
#include "help.h"
#include "keys.h"

/* The file of the test that runs. */
static struct learnedfile file;

/* Reads a text that must be right. */
static void put(const char *text)
{
    unsigned line;
    char *why;

    learnedfile_free(&file);
    why = learnedfile_parse(text, strlen(text), &file, &line);
    if (why)
        fail_msg("line %u: %s", line, why);
}

/* Returns the text. It is overwritten by the next call. */
static const char *get(void)
{
    static struct strbuf text;

    strbuf_clear(&text);
    learnedfile_print(&file, &text);
    return strbuf_text(&text);
}

/* Expects an error in that line, with a part of the reason. Nothing is left to free then. */
static void cannot_read(const char *text, size_t n, unsigned line, const char *part)
{
    struct learnedfile f;
    unsigned number = 0;
    char *why = learnedfile_parse(text, n, &f, &number);

    if (!why)
        fail_msg("'%s' was read", text);
    assert_contains(why, part);
    assert_int_equal(number, line);
    free(why);
}

/* Copies the keys of a section for a host. Returns their number. */
static size_t find(const char *section, const char *hostport,
                   struct learned_key out[LEARNED_KEYS_MAX])
{
    size_t i, n = 0;

    for (i = 0; i < file.count; i++) {
        const struct learned_key *k = file.lines[i].key;

        if (k && hostname_compare(k->section, section) == 0
            && strcasecmp(k->hostport, hostport) == 0)
            out[n++] = *k;
    }
    return n;
}

static size_t count_keys(void)
{
    size_t i, n = 0;

    for (i = 0; i < file.count; i++)
        n += file.lines[i].key != NULL;
    return n;
}

static enum learned_result keep(const char *section, const char *hostport, const char *pin)
{
    const struct learned_key key = key_of(section, hostport, digest(pin));

    return learnedfile_add(&file, &key);
}

static enum learned_result note_refused(const char *section, const char *hostport, const char *pin)
{
    const struct learned_key key = key_of(section, hostport, digest(pin));

    return learnedfile_refuse(&file, &key);
}

static enum learned_result forget(const char *section)
{
    return learnedfile_forget(&file, section);
}

static enum learned_result accept_key(const char *section, const char *pin, struct learned_key *key)
{
    return learnedfile_accept(&file, section, digest(pin), learnedkey_day(NOW), key);
}

/* What people write. */

static void what_people_wrote_stays(void **state)
{
    static const char before[] = "# mine, with \xfc and \xc3\xbc\r\n"
                                 "\n"
                                 "  \t \n"
                                 "\ta\ta.test:443 \t" A "  2026-01-02\trefused  # why \t\n"
                                 "b [::1]:443 " B " 2026-01-02 until=2027-01-01 from=pins_url\r\n"
                                 "   # last, without a newline";

    (void)state;
    put(before);
    assert_int_equal(count_keys(), 2);
    assert_int_equal(keep("c", "c.test:1", C), LEARNED_DONE);
    assert_memory_equal(get(), before, strlen(before));
    assert_string_equal(get() + strlen(before), "\nc c.test:1 " C " " TODAY " from=tofu\n");
    assert_int_equal(forget("c"), LEARNED_DONE);
    assert_memory_equal(get(), before, strlen(before));
    assert_string_equal(get() + strlen(before), "\n");
}

static void every_file_that_is_right_is_read(void **state)
{
    char text[1100], *copy;
    struct strbuf keys = {0};
    struct learned_key found[LEARNED_KEYS_MAX];
    int i;

    (void)state;
    /* the same key of another origin, place or section */
    put("a h:1 " A " 2026-01-02\na h:1 " A " 2026-01-02 from=pins_url\na h:2 " A " 2026-01-02\n"
        "b h:1 " A " 2026-01-02 refused\nc h:1 " A " 2026-01-02 refused\n");
    /* the longest line, of key and of comment */
    i = snprintf(text, sizeof(text), "a h:1 " A " 2026-01-02 ");
    memset(text + i, '#', 1024 - (size_t)i);
    text[1024] = '\0';
    put(text);
    memset(text, '#', 1024);
    put(text);
    /* an editor's byte order mark is no part of the name */
    put("\xef\xbb\xbf"
        "a h:1 " A " 2026-01-02\n");
    assert_int_equal(find("a", "h:1", found), 1);
    put("\xef\xbb\xbf");
    /* nor of one further down, where files were joined, however often the file is written again */
    put("\xef\xbb\xbfs h:1 " A " 2026-01-02\n\xef\xbb\xbf\xef\xbb\xbf"
        "a h:1 " A " 2026-01-02\n");
    assert_int_equal(forget("s"), LEARNED_DONE);
    copy = xstrdup(get());
    put(copy);
    free(copy);
    assert_int_equal(find("a", "h:1", found), 1);
    put("");
    put("\r\n");
    for (i = 0; i < LEARNED_KEYS_MAX; i++)
        strbuf_addf(&keys, "%s h:%d " A " 2026-01-02\n", i % 2 ? "s" : "S", i + 1);
    strbuf_add(&keys, "other h:1 " A " 2026-01-02\n");
    put(strbuf_text(&keys));
    assert_int_equal(count_keys(), LEARNED_KEYS_MAX + 1);
    assert_int_equal(find("s", "H:3", found), 1);
    assert_int_equal(find("S.", "h:3", found), 1);
    strbuf_free(&keys);
}

static void lines_that_are_wrong_or_contradict_each_other_are_refused(void **state)
{
#define LINE "a h:1 " A " 2026-01-02"
    static const struct {
        const char *text;
        unsigned line;
        const char *part;
    } rows[] = {
        {"# fine\n\na h " A " 2026-01-02\n", 3, "host:port"},
        {LINE "\n# x\n" LINE "\n", 3, "same key"},
        {LINE "\nA H:1 " A " 2027-01-02 from=tofu refused\n", 2, "same key"},
        {LINE " from=pins_url\nb" LINE "\n" LINE " from=pins_url\n", 3, "same key"},
        {LINE " refused\na h:2 " A " 2026-01-02 refused\n", 2, "another refused"},
        {LINE "\n\nnonsense", 3, "host:port"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++)
        cannot_read(rows[i].text, strlen(rows[i].text), rows[i].line, rows[i].part);
#undef LINE
}

static void what_is_too_large_is_refused(void **state)
{
    static const char nul[] = "# fine\na h:1 " A " 2026-01-02 # \0\n";
    struct strbuf text = {0};
    char *big;
    int i;

    (void)state;
    cannot_read(nul, sizeof(nul) - 1, 2, "a NUL byte");

    strbuf_addf(&text, "\n#%01024d\n", 0);
    cannot_read(strbuf_text(&text), text.len, 2, "the line is too long");

    strbuf_clear(&text);
    strbuf_addf(&text, "a %0270d:1 " A " 2026-01-02\n", 0);
    cannot_read(strbuf_text(&text), text.len, 1, "host:port is too long");

    strbuf_clear(&text);
    for (i = 0; i <= LEARNED_KEYS_MAX; i++)
        strbuf_addf(&text, "b%d h:1 " A " 2026-01-02\na h:%d " A " 2026-01-02\n", i, i + 1);
    cannot_read(strbuf_text(&text), text.len, 66, "the section has too many keys");
    strbuf_free(&text);

    big = xcalloc((4 << 20) + 1, 1);
    memset(big, '\n', (4 << 20) + 1);
    cannot_read(big, (4 << 20) + 1, 1, "too large");
    free(big);
}

/* Changes. */

static void a_section_keeps_the_key_of_its_first_use(void **state)
{
    struct learned_key found[LEARNED_KEYS_MAX];

    (void)state;
    put("a h:1 " B " 2026-01-02 from=pins_url\n"
        "a h:2 " B " 2026-01-02\n"
        "a h:1 " A " 2026-01-02 refused\n"
        "b h:1 " A " 2026-01-02 refused\n");
    /* neither is in the way: another origin, another place, refused; the note of it is settled */
    assert_int_equal(keep("a", "h:1", A), LEARNED_DONE);
    assert_string_equal(get(), "a h:1 " B " 2026-01-02 from=pins_url\n"
                               "a h:2 " B " 2026-01-02\n"
                               "b h:1 " A " 2026-01-02 refused\n"
                               "a h:1 " A " " TODAY " from=tofu\n");
    assert_int_equal(find("a", "h:1", found), 2);
    assert_string_equal(pin_of(&found[0]), B);
    assert_string_equal(pin_of(&found[1]), A);
    assert_int_equal(found[1].first_seen, NOW - 3723);
    assert_int_equal(keep("A", "H:1", A), LEARNED_SAME);
    assert_int_equal(keep("A", "H:1", C), LEARNED_OTHER);
    assert_int_equal(keep("a", "h:2", A), LEARNED_OTHER);
    /* a note of another key stays */
    assert_int_equal(keep("b", "h:1", C), LEARNED_DONE);
    assert_int_equal(count_keys(), 5);
}

static void only_the_latest_refused_key_is_noted(void **state)
{

    (void)state;
    put("a h:1 " A " 2026-01-02\n");
    assert_int_equal(note_refused("a", "h:1", B), LEARNED_DONE);
    assert_string_equal(get(), "a h:1 " A " 2026-01-02\n"
                               "a h:1 " B " " TODAY " from=tofu refused\n");
    assert_int_equal(note_refused("a", "h:1", B), LEARNED_SAME);
    assert_int_equal(note_refused("A", "h:2", C), LEARNED_DONE);
    assert_string_equal(get(), "a h:1 " A " 2026-01-02\n"
                               "A h:2 " C " " TODAY " from=tofu refused\n");
    /* it has been accepted meanwhile */
    assert_int_equal(note_refused("a", "h:1", A), LEARNED_SAME);
    assert_int_equal(note_refused("b", "h:1", A), LEARNED_DONE);
    assert_int_equal(count_keys(), 3);
}

static void accepting_takes_the_refused_key_or_none(void **state)
{
    static const char text[] = "# mine\n"
                               "a h:1 " A " 2026-01-02 # old\n"
                               "a h:1 " A " 2026-01-02 from=pins_url\n"
                               "a h:2 " A " 2026-01-02\n"
                               "a h:1 " B " 2026-01-03 refused # looked at it\n"
                               "b h:1 " A " 2026-01-02\n";
    struct learned_key key, before;

    (void)state;
    put(text);
    memset(&key, 0x5a, sizeof(key));
    before = key;
    assert_int_equal(accept_key("b", B, &key), LEARNED_NONE);
    assert_int_equal(accept_key("c", A, &key), LEARNED_NONE);
    assert_memory_equal(&key, &before, sizeof(key));
    /* another key than the one that is noted, and one that is accepted already */
    assert_int_equal(accept_key("a", C, &key), LEARNED_OTHER);
    assert_string_equal(pin_of(&key), B);
    assert_true(key.refused);
    assert_int_equal(accept_key("b", A, &key), LEARNED_SAME);
    assert_string_equal(get(), text);
    assert_int_equal(accept_key("A", B, &key), LEARNED_DONE);
    assert_string_equal(pin_of(&key), B);
    assert_string_equal(key.hostport, "h:1");
    assert_false(key.refused);
    assert_int_equal(key.first_seen, NOW - 3723);
    assert_string_equal(get(), "# mine\n"
                               "a h:1 " A " 2026-01-02 from=pins_url\n"
                               "a h:2 " A " 2026-01-02\n"
                               "a h:1 " B " " TODAY " from=tofu # looked at it\n"
                               "b h:1 " A " 2026-01-02\n");
    assert_int_equal(accept_key("a", B, &key), LEARNED_SAME);
    assert_int_equal(keep("a", "h:1", B), LEARNED_SAME);
}

static void forgetting_removes_all_keys_of_the_section_alone(void **state)
{

    (void)state;
    put("# mine\na h:1 " A " 2026-01-02 # old\na h:1 " A " 2026-01-02 from=pins_url\n"
        "ab h:1 " A " 2026-01-02\nA h:2 " B " 2026-01-02 refused\n# a h:1\n");
    assert_int_equal(forget("b"), LEARNED_SAME);
    assert_int_equal(forget("a"), LEARNED_DONE);
    assert_string_equal(get(), "# mine\nab h:1 " A " 2026-01-02\n# a h:1\n");
    assert_int_equal(forget("a"), LEARNED_SAME);
    assert_int_equal(forget("AB"), LEARNED_DONE);
    assert_string_equal(get(), "# mine\n# a h:1\n");
}

static void an_announcement_notes_the_pin_behind_it(void **state)
{
    struct learned_via via = {.known = true, .role = PIN_ISSUER, .kind = PIN_KEY};
    struct learned_key key;
    const struct learned_announcement a = {"a", "h:1", &key, 1};

    (void)state;
    memcpy(via.digest, digest(C), CERT_DIGEST_SIZE);
    key = announced_key("a", "h:1", digest(A), NEVER, &via);
    put("a h:1 " A " 2026-01-02 from=pins_url via=" B " # mine\n");
    assert_int_equal(learnedfile_announce(&file, &a), LEARNED_DONE);
    assert_string_equal(get(), "a h:1 " A " 2026-01-02 from=pins_url via=issuer:" C " # mine\n");
    assert_int_equal(learnedfile_announce(&file, &a), LEARNED_SAME);
}

/* It was announced again between the look at the file and the change. */
static void a_key_that_has_changed_meanwhile_is_not_removed(void **state)
{
    struct learned_key keys[2];

    (void)state;
    put("# x\na h:1 " A " 2026-01-02 from=pins_url via=" B "\n"
        "a h:1 " C " 2026-01-02 from=pins_url via=" B "\n"
        "a h:1 " A " 2026-01-02\n");
    keys[0] = *file.lines[1].key;
    keys[1] = *file.lines[2].key;
    put("# x\na h:1 " A " 2026-01-02 from=pins_url via=" C "\n"
        "a h:1 " C " 2026-01-02 from=pins_url via=" B "\n"
        "a h:1 " A " 2026-01-02\n");
    assert_int_equal(learnedfile_remove(&file, keys, 2), LEARNED_DONE);
    assert_string_equal(get(), "# x\na h:1 " A " 2026-01-02 from=pins_url via=" C "\n"
                               "a h:1 " A " 2026-01-02\n");
    assert_int_equal(learnedfile_remove(&file, keys, 2), LEARNED_SAME);
}

static int drop_file(void **state)
{
    (void)state;
    learnedfile_free(&file);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_people_wrote_stays),
        cmocka_unit_test(every_file_that_is_right_is_read),
        cmocka_unit_test(lines_that_are_wrong_or_contradict_each_other_are_refused),
        cmocka_unit_test(what_is_too_large_is_refused),
        cmocka_unit_test(a_section_keeps_the_key_of_its_first_use),
        cmocka_unit_test(only_the_latest_refused_key_is_noted),
        cmocka_unit_test(accepting_takes_the_refused_key_or_none),
        cmocka_unit_test(forgetting_removes_all_keys_of_the_section_alone),
        cmocka_unit_test(an_announcement_notes_the_pin_behind_it),
        cmocka_unit_test(a_key_that_has_changed_meanwhile_is_not_removed),
    };

    return cmocka_run_group_tests(tests, NULL, drop_file);
}
