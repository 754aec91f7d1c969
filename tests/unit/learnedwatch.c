/* learned/learnedwatch: what others do to the file is in force within a moment, and is reported. */
#include "learned/learnedwatch.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "help.h"

#define A "sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg="
#define B "sha256//Vjs8r4z+80wjNcr1YKepWQboSIRi63WsWXhIMN+eWys="

/* Longer than any machine takes. */
#define PATIENCE_MS 30000

static _Atomic unsigned changes;

static void on_changed(void *arg)
{
    (void)arg;
    atomic_fetch_add(&changes, 1);
}

/* As editors do: another file takes the place of the old one. */
static void put(const char *dir, const char *text)
{
    char *name = xasprintf("%s/edited", dir);

    temp_text(name, text);
    assert_int_equal(rename(temp_path("%s", name), temp_path("%s/learned", dir)), 0);
    free(name);
}

static struct learned *store(const char *dir)
{
    char *why = NULL;
    struct learned *l = learned_open(temp_path("%s", dir), true, LEARNEDDIR_OWNER, &why);

    if (!l)
        fail_msg("%s", why);
    return l;
}

static size_t count(struct learned *l, const char *section)
{
    struct learned_key found[LEARNED_KEYS_MAX];

    return learned_find(l, section, "h:1", found);
}

static void wait_for(struct learned *l, const char *section, size_t n)
{
    int ms;

    for (ms = 0; count(l, section) != n; ms++) {
        assert_true(ms < PATIENCE_MS);
        usleep(1000);
    }
}

/* Waits until a change has been reported since. */
static void wait_for_report(unsigned since)
{
    int ms;

    for (ms = 0; atomic_load(&changes) == since; ms++) {
        assert_true(ms < PATIENCE_MS);
        usleep(1000);
    }
}

static struct learnedwatch *watch(struct learned *l)
{
    struct learnedwatch *w = learnedwatch_start(on_changed, NULL);

    assert_non_null(w);
    learnedwatch_set(w, l);
    return w;
}

static void an_edit_and_the_change_of_another_process_are_in_force_and_reported(void **state)
{
    struct learned *l = store("edit"), *other = store("edit");
    struct learnedwatch *w = watch(l);
    unsigned before = atomic_load(&changes);
    char *why = NULL;

    (void)state;
    put("edit", "a h:1 " A " 2026-01-02\n");
    wait_for(l, "a", 1);
    wait_for_report(before);
    before = atomic_load(&changes);
    assert_int_equal(learned_forget(other, "a", &why), LEARNED_DONE);
    wait_for(l, "a", 0);
    wait_for_report(before);
    assert_true(learnedwatch_stop(w));
    learned_release(l);
    learned_release(other);
}

static void a_change_of_this_process_is_reported(void **state)
{
    struct learned *l = store("own");
    struct learnedwatch *w = watch(l);
    const unsigned before = atomic_load(&changes);
    uint8_t digest[CERT_DIGEST_SIZE];
    struct learned_key key;
    char *why = NULL;

    (void)state;
    memset(digest, 7, sizeof(digest));
    assert_true(learnedkey_init(&key, "a", "h:1", digest, 0));
    assert_int_equal(learned_add(l, &key, &why), LEARNED_DONE);
    wait_for_report(before);
    assert_true(learnedwatch_stop(w));
    learned_release(l);
}

/* Nor when the directory itself is replaced. */
static void what_inotify_does_not_see_is_noticed_all_the_same(void **state)
{
    struct learned *l = store("linked");
    struct learnedwatch *w;

    (void)state;
    put("target", "");
    assert_int_equal(symlink("../target/learned", temp_path("linked/learned")), 0);
    w = watch(l);
    put("target", "a h:1 " A " 2026-01-02\n");
    wait_for(l, "a", 1);
    assert_int_equal(rename(temp_path("linked"), temp_path("moved")), 0);
    put("linked", "b h:1 " A " 2026-01-02\n");
    wait_for(l, "b", 1);
    put("linked", "c h:1 " A " 2026-01-02\n");
    wait_for(l, "c", 1);
    assert_true(learnedwatch_stop(w));
    learned_release(l);
}

/* Long enough for the watch to see an event, and short beside a second. */
#define MOMENT_US 100000

static void move_away(void)
{
    assert_int_equal(rename(temp_path("written/learned"), temp_path("written/learned~")), 0);
}

static void delete (void)
{
    assert_int_equal(unlink(temp_path("written/learned")), 0);
}

/* Empties the file while another one is complete. */
static void empty(void)
{
    assert_int_equal(truncate(temp_path("written/learned"), 0), 0);
    temp_text("written/another", "x");
}

/*
 * Returns true if the key stayed in force while the file was without it for a moment. The check
 * every second may come just then, so one of many edits is enough.
 */
static bool survives_edit(struct learned *l, void (*hide)(void))
{
    bool survived = false;
    int tries;

    for (tries = 0; tries < 30 && !survived; tries++) {
        hide();
        usleep(MOMENT_US);
        survived = count(l, "a") == 1;
        temp_text("written/learned", "a h:1 " A " 2026-01-02\n");
        wait_for(l, "a", 1);
    }
    return survived;
}

static void a_file_that_an_editor_is_writing_again_keeps_its_keys_in_force(void **state)
{
    struct learned *l = store("written");
    struct learnedwatch *w = watch(l);

    (void)state;
    temp_text("written/learned", "a h:1 " A " 2026-01-02\n");
    wait_for(l, "a", 1);
    assert_true(survives_edit(l, move_away));
    assert_true(survives_edit(l, delete));
    assert_true(survives_edit(l, empty));
    assert_int_equal(unlink(temp_path("written/learned")), 0);
    wait_for(l, "a", 0); /* but a file that stays away has none */
    assert_true(learnedwatch_stop(w));
    learned_release(l);
}

static void damage_changes_nothing_and_is_logged_once(void **state)
{
    struct learned *l;
    struct learnedwatch *w;
    unsigned before;
    char *text, *line;

    (void)state;
    put("damage", "a h:1 " A " 2026-01-02\n");
    l = store("damage");
    before = atomic_load(&changes);
    capture_start();
    w = watch(l);
    put("damage", "a h:1 " A " 2026-01-02\noops\n");
    sleep(3); /* some looks long */
    assert_int_equal(count(l, "a"), 1);
    assert_int_equal(atomic_load(&changes), before);
    put("damage", "b h:1 " A " 2026-01-02\n");
    wait_for(l, "b", 1);
    assert_true(learnedwatch_stop(w));
    text = capture_end();
    assert_contains(text, "learned_failed");
    assert_contains(text, "damage/learned:2: ");
    line = strstr(text, "learned_failed");
    assert_null(strstr(line + 1, "learned_failed"));
    free(text);
    learned_release(l);
}

static void another_store_is_watched_in_place_of_the_first(void **state)
{
    struct learned *first = store("first"), *second = store("second");
    struct learnedwatch *w = watch(first);

    (void)state;
    learnedwatch_set(w, second);
    put("second", "a h:1 " A " 2026-01-02\n");
    wait_for(second, "a", 1);
    put("first", "a h:1 " A " 2026-01-02\n");
    put("second", "");
    wait_for(second, "a", 0);
    assert_int_equal(count(first, "a"), 0);
    learnedwatch_set(w, NULL);
    learned_release(second);
    learnedwatch_set(w, first);
    wait_for(first, "a", 1);
    assert_true(learnedwatch_stop(w));
    learned_release(first);
}

static void nothing_is_reported_once_it_has_stopped(void **state)
{
    struct learned *l = store("stopped");
    struct learnedwatch *w;
    unsigned before, i;

    (void)state;
    for (i = 0; i < 20; i++) {
        w = watch(l);
        put("stopped", i % 2 ? "" : "a h:1 " A " 2026-01-02\n");
        assert_true(learnedwatch_stop(w));
        before = atomic_load(&changes);
        put("stopped", "b h:1 " B " 2026-01-02\n");
        usleep(5000);
        assert_int_equal(atomic_load(&changes), before);
    }
    assert_true(learnedwatch_stop(NULL));
    learned_release(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_edit_and_the_change_of_another_process_are_in_force_and_reported),
        cmocka_unit_test(a_change_of_this_process_is_reported),
        cmocka_unit_test(what_inotify_does_not_see_is_noticed_all_the_same),
        cmocka_unit_test(a_file_that_an_editor_is_writing_again_keeps_its_keys_in_force),
        cmocka_unit_test(damage_changes_nothing_and_is_logged_once),
        cmocka_unit_test(another_store_is_watched_in_place_of_the_first),
        cmocka_unit_test(nothing_is_reported_once_it_has_stopped),
    };

    umask(022); /* a file that the group may write is refused */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
