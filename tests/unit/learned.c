/*
 * learned/learned: changes by other stores, processes, threads and people all stay, and what cannot
 * be read is reported and never written over.
 */
#include "learned/learned.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "nofiles.h"
#include "statedir.h"

typedef uint8_t digest_bytes[CERT_DIGEST_SIZE];

/* Opening. */

static void a_missing_file_is_an_empty_one(void **state)
{
    struct learned_key found[LEARNED_KEYS_MAX];
    struct learned *l = store();

    (void)state;
    assert_int_equal(learned_find(l, "a", "h:1", found), 0);
    assert_int_equal(count_keys(l), 0);
    assert_int_equal(forget(l, "a"), LEARNED_SAME);
    assert_false(exists("learned"));
    assert_string_equal(learned_dir(l), dir);
    assert_ptr_equal(learned_hold(l), l);
    learned_release(l);
    assert_int_equal(keep(l, "a", "h:1", A), LEARNED_DONE);
    assert_string_equal(get(), "a h:1 " A " " TODAY " from=tofu\n");
    learned_release(l);
    learned_release(NULL);
}

static void what_is_no_directory_or_no_file_is_refused(void **state)
{
    struct learned *l;
    char *why = NULL;
    struct stat st;

    (void)state;
    cannot_open(temp_text("file", "x"), false, "is not a directory");
    cannot_open(temp_path("file"), true, "is not a directory");
    cannot_open(temp_path("file/below"), false, "Not a directory");
    cannot_open(temp_path("missing/below"), true, "missing/below: No such file or directory");
    /* one that is missing is empty, until somebody would learn */
    assert_int_equal(rmdir(dir), 0);
    l = store();
    assert_int_equal(count_keys(l), 0);
    assert_false(has_changed(l));
    why = xasprintf("%s: No such file or directory", dir);
    cannot_keep(l, "a", "h:1", why);
    free(why);
    learned_release(learned_open(dir, true, LEARNEDDIR_OWNER, &why));
    assert_null(why);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(keep(l, "a", "h:1", A), LEARNED_DONE);
    learned_release(l);
    /* and what is no file is no file */
    assert_int_equal(unlink(path_of("learned")), 0);
    assert_int_equal(mkdir(path_of("learned"), 0700), 0);
    cannot_open(dir, false, "learned: Is a directory");
    assert_int_equal(rmdir(path_of("learned")), 0);
    assert_int_equal(mkfifo(path_of("learned"), 0600), 0);
    cannot_open(dir, false, "learned: is a pipe");
}

static void a_damaged_file_is_not_opened_and_not_changed(void **state)
{
    static const char *const texts[] = {"# fine\n\noops", "a h:1 " A " 2026-01-02\nb h:1 oops\n"};
    static const char *const parts[] = {"learned:3: no host and port",
                                        "learned:2: no key's digest"};
    static const char nul[] = "# fine\na h:1 " A " 2026-01-02 # \0\n";
    char *big = xcalloc((4 << 20) + 1, 1);
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(texts); i++) {
        put(texts[i]);
        cannot_open(dir, false, parts[i]);
        cannot_open(dir, true, parts[i]);
        assert_string_equal(get(), texts[i]);
    }
    put_bytes(nul, sizeof(nul) - 1);
    cannot_open(dir, false, "learned:2: a NUL byte");
    memset(big, '\n', (4 << 20) + 1);
    put_bytes(big, (4 << 20) + 1);
    cannot_open(dir, false, "learned: is too large");
    free(big);
}

/* Of as many sections as fit: lookups must not take seconds, nor a line take a kilobyte. */
static void a_large_file_is_read_and_never_becomes_too_large(void **state)
{
    struct learned_key found[LEARNED_KEYS_MAX];
    struct strbuf text = {0};
    struct learned *l;
    unsigned n;

    (void)state;
    for (n = 0; text.len < (4 << 20) - 200; n++)
        strbuf_addf(&text, "s%u h:1 " A " 2026-01-02\n", n);
    put(strbuf_text(&text));
    l = store();
    assert_int_equal(count_keys(l), n);
    assert_int_equal(learned_find(l, "s50000", "h:1", found), 1);
    assert_int_equal(keep(l, "one.more", "h:1", B), LEARNED_DONE);
    /* and what no longer fits is not written, for then nothing could be read any more */
    while (text.len < (4 << 20) - 40)
        strbuf_add(&text, "#\n");
    put(strbuf_text(&text));
    cannot_keep(l, "one.more", "h:1", "too large");
    assert_int_equal(strlen(get()), text.len);
    learned_release(l);
    strbuf_free(&text);
}

/* Changes. */

static void an_announcement_replaces_the_one_before_and_nothing_else(void **state)
{
    static const char *const bc[] = {B, C, B, NULL}, *const none[] = {NULL};
    static const char rest[] = "a h:1 " A " 2026-01-02 # tofu\n"
                               "a h:2 " A " 2026-01-02 from=pins_url until=2026-02-01\n"
                               "b h:1 " A " 2026-01-02 from=pins_url\n"
                               "a h:1 " C " 2026-01-02 refused\n";
    digest_bytes many[LEARNED_KEYS_MAX + 1];
    struct learned *l;
    struct strbuf text = {0};
    enum learned_result result;
    char *why = NULL;
    uint64_t generation;

    (void)state;
    strbuf_addf(&text, "%s%s", rest,
                "a h:1 " A " 2026-01-02 from=pins_url # goes\n"
                "a h:1 " B " 2026-01-02 from=pins_url until=2026-02-01 # stays\n");
    put(strbuf_text(&text));
    l = store();
    assert_int_equal(announce(l, "A", "H:1", bc, NOW + DAY), LEARNED_DONE);
    strbuf_clear(&text);
    strbuf_addf(&text, "%s%s", rest,
                "a h:1 " B " 2026-01-02 from=pins_url until=2026-11-27 # stays\n"
                "A H:1 " C " " TODAY " from=pins_url until=2026-11-27\n");
    assert_string_equal(get(), strbuf_text(&text));
    /* the same once more, at another time of the day */
    generation = learned_generation(l);
    assert_int_equal(announce(l, "a", "h:1", bc, NOW + DAY + 60), LEARNED_SAME);
    assert_false(has_changed(l));
    assert_int_equal(learned_generation(l), generation);
    assert_int_equal(announce(l, "a", "h:1", bc, NEVER), LEARNED_DONE);
    assert_contains(get(), B " 2026-01-02 from=pins_url # stays\n");
    assert_int_equal(announce(l, "a", "h:1", none, NOW), LEARNED_DONE);
    assert_string_equal(get(), rest);
    assert_int_equal(announce(l, "a", "h:1", none, NOW), LEARNED_SAME);
    /* an end so long ago that its day would be written as none */
    assert_int_equal(announce(l, "a", "h:1", bc, 5), LEARNED_DONE);
    assert_contains(get(), B " " TODAY " from=pins_url until=1970-01-02\n");
    /* all of them or none */
    memset(many, 1, sizeof(many));
    result = announce_digests(l, (const digest_bytes *)many, COUNT(many), NEVER, &why);
    failed(result, why, "too many keys");
    assert_contains(get(), "until=1970-01-02");
    strbuf_free(&text);
    learned_release(l);
}

static void a_section_has_a_limit_of_keys(void **state)
{
    static const char *const bc[] = {B, C, NULL};
    digest_bytes digests[2];
    struct strbuf text = {0};
    enum learned_result result;
    struct learned *l;
    char *why = NULL;
    int i;

    (void)state;
    strbuf_add(&text, "a h:1 " A " 2026-01-02 from=pins_url\n");
    for (i = 1; i < LEARNED_KEYS_MAX; i++)
        strbuf_addf(&text, "a x:%d " A " 2026-01-02\n", i);
    put(strbuf_text(&text));
    l = store();
    cannot_keep(l, "A", "h:1", "too many keys");
    result = refuse_digest(l, "a", "h:1", digest(C), &why);
    failed(result, why, "'pinproxy learned forget'");
    for (i = 0; i < 2; i++)
        memcpy(digests[i], digest(bc[i]), CERT_DIGEST_SIZE);
    result = announce_digests(l, (const digest_bytes *)digests, 2, NEVER, &why);
    failed(result, why, "too many keys");
    assert_string_equal(get(), strbuf_text(&text));
    /* one for one is fine */
    assert_int_equal(announce(l, "a", "h:1", bc + 1, NEVER), LEARNED_DONE);
    assert_int_equal(count_keys(l), LEARNED_KEYS_MAX);
    strbuf_free(&text);
    learned_release(l);
}

/* Whatever is asked for, the file can be read afterwards. */
static void a_change_that_would_not_read_back_is_not_written(void **state)
{
    static const char *const names[][2] = {
        {"two words", "h:1"},  {"#section", "h:1"},    {"", "h:1"},        {"line\nbreak", "h:1"},
        {"section", "h"},      {"section", "h:70000"}, {"section", "h 1"}, {"section", ""},
        {"section", "h:1\n#"}, {"tab\t", "h:1"},
    };
    char longest[LEARNED_HOSTPORT_SIZE + 1], line[1100];
    struct learned_key key;
    enum learned_result result;
    struct learned *l;
    char *why = NULL;
    size_t i;
    int n;

    (void)state;
    n = snprintf(line, sizeof(line), "a h:1 " A " 2026-01-02 refused ");
    memset(line + n, '#', 1024 - (size_t)n);
    line[1024] = '\n';
    line[1025] = '\0';
    put(line);
    l = store();
    for (i = 0; i < COUNT(names); i++)
        cannot_keep(l, names[i][0], names[i][1], "cannot be changed");
    assert_true(learnedkey_init(&key, "late", "h:1", digest(A), INT64_C(253402300800)));
    result = learned_add(l, &key, &why);
    failed(result, why, "cannot be changed");
    /* nor is anything cut off to make it fit */
    memset(longest, 'x', sizeof(longest));
    longest[LEARNED_SECTION_SIZE] = '\0';
    assert_false(learnedkey_init(&key, longest, "h:1", digest(A), NOW));
    cannot_keep(l, longest + 1, "h", "cannot be changed");
    longest[LEARNED_SECTION_SIZE] = 'x';
    memcpy(longest + LEARNED_HOSTPORT_SIZE - 2, ":1", 3);
    assert_false(learnedkey_init(&key, "section", longest, digest(A), NOW));
    /* the comment and what is written behind the date are too long together */
    memset(&key, 0, sizeof(key));
    result = learned_accept(l, "a", digest(A), NOW, &key, &why);
    failed(result, why, "line 1 would then be wrong: the line is too long");
    assert_string_equal(key.section, "");
    assert_string_equal(get(), line);
    assert_false(exists("learned.new"));
    /* what just fits is kept and found */
    assert_int_equal(keep(l, "section", longest + 1, C), LEARNED_DONE);
    assert_int_equal(keep(l, "section", longest + 1, C), LEARNED_SAME);
    learned_release(l);
    l = store();
    assert_int_equal(count_keys(l), 2);
    learned_release(l);
}

/* Other processes. */

static void two_stores_see_each_others_changes(void **state)
{
    struct learned_key found[LEARNED_KEYS_MAX];
    struct learned *x = store(), *y = store();
    uint64_t generation;

    (void)state;
    assert_int_equal(keep(x, "a", "h:1", A), LEARNED_DONE);
    generation = learned_generation(y);
    assert_int_equal(keep(y, "a", "h:1", B), LEARNED_OTHER);
    assert_int_equal(keep(y, "b", "h:1", B), LEARNED_DONE);
    assert_true(learned_generation(y) != generation);
    assert_int_equal(note_refused(x, "b", "h:1", C), LEARNED_DONE);
    assert_int_equal(keep(y, "c", "h:1", C), LEARNED_DONE);
    assert_int_equal(forget(x, "a"), LEARNED_DONE);
    assert_int_equal(learned_find(y, "a", "h:1", found), 1);
    assert_true(has_changed(y));
    assert_int_equal(learned_find(y, "a", "h:1", found), 0);
    assert_int_equal(learned_find(y, "b", "h:1", found), 2);
    /* a change sees those of others before it */
    assert_int_equal(learned_find(x, "c", "h:1", found), 1);
    assert_int_equal(count_keys(x), 3);
    assert_int_equal(count_keys(y), 3);
    learned_release(x);
    learned_release(y);
}

#define ROUNDS 50

/* That many keys, of sections of its own. False when one could not be kept. */
static bool keep_many(struct learned *l, int writer)
{
    char section[32], *why;
    digest_bytes d;
    int i;

    for (i = 0; i < ROUNDS; i++) {
        snprintf(section, sizeof(section), "w%d-%d", writer, i);
        memset(d, writer + 1, sizeof(d));
        do {
            why = NULL;
            if (add_digest(l, section, "h:1", d, &why) == LEARNED_DONE)
                break;
            /* on a slow disk the others may well have it for that long */
            if (!why || !strstr(why, "is locked"))
                return false;
            free(why);
        } while (true);
    }
    return true;
}

static void keep_many_and_exit(int writer)
{
    char *why = NULL;
    struct learned *l = learned_open(dir, false, LEARNEDDIR_OWNER, &why);
    bool kept = l && keep_many(l, writer);

    learned_release(l);
    free(why);
    _exit(kept ? 0 : 1);
}

static void check_many(struct learned *l, int writers)
{
    struct learned_key found[LEARNED_KEYS_MAX];
    char section[32];
    int w, i;

    assert_int_equal(count_keys(l), writers * ROUNDS);
    for (w = 0; w < writers; w++) {
        for (i = 0; i < ROUNDS; i++) {
            snprintf(section, sizeof(section), "w%d-%d", w, i);
            assert_int_equal(learned_find(l, section, "h:1", found), 1);
            assert_int_equal(found[0].digest[0], w + 1);
        }
    }
}

static void two_processes_keep_each_others_keys(void **state)
{
    struct learned *l = store();
    pid_t pids[2];
    int i, status;

    (void)state;
    for (i = 0; i < 2; i++)
        pids[i] = start(keep_many_and_exit, i);
    for (i = 0; i < 2; i++) {
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    assert_true(has_changed(l));
    check_many(l, 2);
    learned_release(l);
}

struct writer {
    struct learned *l;
    int number;
    bool kept;
    _Atomic bool done;
};

static void *write_in_thread(void *argument)
{
    struct writer *w = argument;

    w->kept = keep_many(w->l, w->number);
    w->done = true;
    return NULL;
}

/* A thread that looks keys up sees each that was there before it looked. */
static void two_threads_keep_each_others_keys(void **state)
{
    struct learned_key found[LEARNED_KEYS_MAX];
    struct writer writers[2];
    pthread_t threads[2];
    struct learned *l = store();
    size_t n, last = 0;
    int i;

    (void)state;
    for (i = 0; i < 2; i++) {
        writers[i] = (struct writer){.l = learned_hold(l), .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, write_in_thread, &writers[i]), 0);
    }
    while (!writers[0].done || !writers[1].done) {
        n = count_keys(l);
        assert_true(n >= last);
        last = n;
        (void)learned_find(l, "w0-0", "h:1", found);
        usleep(500);
    }
    for (i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_true(writers[i].kept);
        learned_release(l);
    }
    check_many(l, 2);
    learned_release(l);
}

/* Editors. */

static void an_edit_is_in_force_when_it_has_been_read(void **state)
{
    struct learned_key found[LEARNED_KEYS_MAX];
    struct learned *l = store();
    uint64_t generation = learned_generation(l);

    (void)state;
    assert_false(has_changed(l));
    put("a h:1 " A " 2026-01-02\n");
    assert_true(has_changed(l));
    assert_true(learned_generation(l) != generation);
    assert_int_equal(learned_find(l, "A", "H:1", found), 1);
    assert_false(has_changed(l));
    /* comments, blanks and what goes without saying are no keys */
    generation = learned_generation(l);
    put("# why\n\na  h:1 " A " 2026-01-02 from=tofu # x\n");
    assert_false(has_changed(l));
    assert_int_equal(learned_generation(l), generation);
    /* it is in force when it has been read, and the number says so */
    put("a h:1 " A " 2026-01-02 refused\n");
    assert_int_equal(learned_find(l, "a", "h:1", found), 1);
    assert_false(found[0].refused);
    assert_int_equal(learned_generation(l), generation);
    assert_true(has_changed(l));
    assert_int_equal(learned_find(l, "a", "h:1", found), 1);
    assert_true(found[0].refused);
    assert_true(learned_generation(l) != generation);
    generation = learned_generation(l);
    put("a h:1 " A " 2026-01-02 refused until=2027-01-01\n");
    assert_true(has_changed(l));
    assert_int_equal(count_keys(l), 1);
    assert_true(learned_generation(l) != generation);
    assert_int_equal(unlink(path_of("learned")), 0);
    assert_true(has_changed(l));
    assert_int_equal(count_keys(l), 0);
    /* one's own change is none that is still to be seen */
    assert_int_equal(keep(l, "a", "h:1", A), LEARNED_DONE);
    generation = learned_generation(l);
    assert_false(has_changed(l));
    assert_int_equal(learned_generation(l), generation);
    learned_release(l);
}

struct look_up {
    struct learned *l;
    uint64_t generation;
};

static void look_up(void *arg)
{
    const struct look_up *u = arg;
    struct learned_key found[LEARNED_KEYS_MAX];

    if (learned_find(u->l, "a", "h:1", found) != 1 || strcmp(pin_of(&found[0]), A) != 0
        || learned_find(u->l, "b", "h:1", found) != 0 || count_keys(u->l) != 1
        || learned_generation(u->l) != u->generation)
        _exit(1);
}

static void a_look_up_reads_no_file_even_if_it_has_changed(void **state)
{
    struct look_up u;
    char *why;

    (void)state;
    put("a h:1 " A " 2026-01-02\n");
    u.l = store();
    u.generation = learned_generation(u.l);
    assert_no_file_calls(look_up, &u);
    put("b h:1 " B " 2026-01-02\n");
    assert_no_file_calls(look_up, &u);
    put("damage\n");
    assert_no_file_calls(look_up, &u);
    assert_false(learned_refresh(u.l, &why));
    assert_contains(why, "learned:1: ");
    free(why);
    assert_no_file_calls(look_up, &u);
    learned_release(u.l);
}

static void a_damaged_file_keeps_the_keys_and_is_not_written_over(void **state)
{
    static const char damaged[] = "a h:1 " A " 2026-01-02\noops\n";
    struct learned_key found[LEARNED_KEYS_MAX];
    struct learned *l;
    enum learned_result result;
    uint64_t generation;
    char *why = NULL;

    (void)state;
    put("a h:1 " B " 2026-01-02\n");
    l = store();
    generation = learned_generation(l);
    put(damaged);
    assert_int_equal(learned_find(l, "a", "h:1", found), 1);
    assert_string_equal(pin_of(&found[0]), B);
    assert_int_equal(count_keys(l), 1);
    assert_false(learned_refresh(l, &why));
    assert_contains(why, "learned:2: ");
    free(why);
    assert_false(has_changed(l)); /* told once */
    assert_int_equal(learned_generation(l), generation);

    cannot_keep(l, "b", "h:1", "learned:2: ");
    result = refuse_digest(l, "a", "h:1", digest(C), &why);
    failed(result, why, "learned:2: ");
    result = learned_forget(l, "a", &why);
    failed(result, why, "learned:2: ");
    result = learned_accept(l, "a", digest(B), NOW, &found[0], &why);
    failed(result, why, "learned:2: ");
    result = announce_digests(l, NULL, 0, NEVER, &why);
    failed(result, why, "learned:2: ");
    assert_string_equal(get(), damaged);
    assert_false(exists("learned.new"));
    assert_int_equal(learned_find(l, "a", "h:1", found), 1);

    /* other damage is told anew */
    put("oops again\n");
    assert_false(learned_refresh(l, &why));
    assert_contains(why, "learned:1: ");
    free(why);
    assert_false(has_changed(l));
    /* mended */
    put("a h:1 " A " 2026-01-02\n");
    assert_true(has_changed(l));
    assert_int_equal(keep(l, "b", "h:1", B), LEARNED_DONE);
    put("oops\n");
    put("a h:1 " A " 2026-01-02\n# mended\n");
    assert_true(has_changed(l));
    learned_release(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_missing_file_is_an_empty_one),
        TEST(what_is_no_directory_or_no_file_is_refused),
        TEST(a_damaged_file_is_not_opened_and_not_changed),
        TEST(a_large_file_is_read_and_never_becomes_too_large),
        TEST(an_announcement_replaces_the_one_before_and_nothing_else),
        TEST(a_section_has_a_limit_of_keys),
        TEST(a_change_that_would_not_read_back_is_not_written),
        TEST(two_stores_see_each_others_changes),
        TEST(two_processes_keep_each_others_keys),
        TEST(two_threads_keep_each_others_keys),
        TEST(an_edit_is_in_force_when_it_has_been_read),
        TEST(a_look_up_reads_no_file_even_if_it_has_changed),
        TEST(a_damaged_file_keeps_the_keys_and_is_not_written_over),
    };

    umask(022); /* a file that the group may write is refused */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
