/*
 * learned/learned where something goes wrong: a writer that dies, a lock that is held, a full disk,
 * files that another user has put there.
 */
#include "learned/learned.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/strbuf.h"
#include "statedir.h"

typedef uint8_t digest_bytes[CERT_DIGEST_SIZE];

#define ANNOUNCED 16

/* Over and over, keys that are all of one round. */
static void announce_for_ever(int round)
{
    char *why = NULL;
    struct learned *l = learned_open(dir, false, LEARNEDDIR_OWNER, &why);
    digest_bytes d[ANNOUNCED];
    int i;

    for (; l; round++) {
        for (i = 0; i < ANNOUNCED; i++) {
            memset(d[i], i + 1, sizeof(d[i]));
            memcpy(d[i], &round, sizeof(round));
        }
        if (announce_digests(l, (const digest_bytes *)d, ANNOUNCED, NOW + DAY, &why)
            != LEARNED_DONE)
            break;
    }
    _exit(1);
}

static void a_killed_writer_leaves_a_whole_file(void **state)
{
    struct learned_key found[LEARNED_KEYS_MAX];
    struct learned *l;
    uint32_t seed = 1;
    int kill_number, status, i;
    size_t n, whole = 0;
    pid_t pid;

    (void)state;
    put("# mine\nb h:1 " A " 2026-01-02\n");
    /* on a busy machine it takes longer until one of them has come to write */
    for (kill_number = 1; kill_number <= 30 || (whole == 0 && kill_number <= 200); kill_number++) {
        pid = start(announce_for_ever, kill_number * 100000);
        usleep(1000 + random_next(&seed) % (500 * (unsigned)(29 + kill_number)));
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        l = store();
        n = learned_find(l, "a", "h:1", found);
        assert_true(n == 0 || n == ANNOUNCED);
        whole += n > 0;
        for (i = 1; i < (int)n; i++)
            assert_memory_equal(found[i].digest, found[0].digest, sizeof(int));
        assert_memory_equal(get(), "# mine\nb h:1 " A " 2026-01-02\n", 8);
        /* neither his lock nor what he left is in the way */
        assert_int_equal(learned_find(l, "b", "h:1", found), 1);
        if (kill_number % 10 == 0) {
            assert_int_equal(note_refused(l, "b", "h:1", B), LEARNED_DONE);
            assert_int_equal(keep(l, "c", "h:1", C), LEARNED_DONE);
            assert_int_equal(forget(l, "b") + forget(l, "c"), 2 * LEARNED_DONE);
            put("# mine\nb h:1 " A " 2026-01-02\n");
        }
        learned_release(l);
    }
    assert_true(whole > 0);
}

static void hold_lock(int ms)
{
    int fd = open(path_of("learned.lock"), O_RDWR | O_CREAT, 0600);

    if (fd < 0 || flock(fd, LOCK_EX) != 0)
        _exit(1);
    temp_text("locked", "");
    usleep((useconds_t)ms * 1000);
    _exit(0);
}

static pid_t start_lock_holder(int ms)
{
    const char *sign = temp_path("locked");
    pid_t pid = start(hold_lock, ms);
    int i;

    for (i = 0; access(sign, F_OK) != 0; i++) {
        assert_true(i < 10000);
        usleep(1000);
    }
    unlink(sign);
    return pid;
}

/* Whether a key could be kept after all, or another complaint was made. */
struct writer {
    struct learned *l;
    bool kept;
};

static void *cannot_write_in_thread(void *argument)
{
    struct writer *w = argument;
    char *why = NULL;

    w->kept = add_digest(w->l, "a", "h:1", digest(A), &why) != LEARNED_FAILED || !why
              || !strstr(why, "learned.lock: is locked by another process");
    free(why);
    return NULL;
}

static void a_held_lock_holds_up_no_look_up_and_no_change_for_ever(void **state)
{
    struct learned_key found[LEARNED_KEYS_MAX];
    struct writer w = {.l = store(), .kept = true};
    struct timespec before, after;
    pthread_t thread;
    pid_t pid;
    int status;

    (void)state;
    /* for a moment: it is waited for */
    pid = start_lock_holder(100);
    assert_int_equal(keep(w.l, "b", "h:1", B), LEARNED_DONE);
    waitpid(pid, &status, 0);
    /* for ever: it is given up */
    pid = start_lock_holder(20000);
    clock_gettime(CLOCK_MONOTONIC, &before);
    assert_int_equal(pthread_create(&thread, NULL, cannot_write_in_thread, &w), 0);
    usleep(100000);
    assert_int_equal(learned_find(w.l, "b", "h:1", found), 1);
    assert_false(has_changed(w.l));
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true(after.tv_sec - before.tv_sec < 4);
    pthread_join(thread, NULL);
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_between((uintmax_t)(after.tv_sec - before.tv_sec), 4, 30);
    assert_false(w.kept);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    assert_int_equal(keep(w.l, "a", "h:1", A), LEARNED_DONE);
    learned_release(w.l);
}

/* Disks. */

static void a_full_disk_leaves_the_file_as_it_was(void **state)
{
    struct rlimit limit, before;
    struct strbuf text = {0};
    struct learned *l;
    int i;

    (void)state;
    for (i = 0; i < 100; i++)
        strbuf_addf(&text, "s%d h:1 " A " 2026-01-02\n", i);
    put(strbuf_text(&text));
    l = store();
    /* what is too large cannot be written: as near as a test comes to a full disk */
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    limit = before;
    limit.rlim_cur = 4096;
    setrlimit(RLIMIT_FSIZE, &limit);
    cannot_keep(l, "a", "h:1", "learned.new: File too large");
    setrlimit(RLIMIT_FSIZE, &before);
    assert_string_equal(get(), strbuf_text(&text));
    assert_false(exists("learned.new"));
    assert_int_equal(count_keys(l), 100);
    assert_int_equal(keep(l, "a", "h:1", A), LEARNED_DONE);
    strbuf_free(&text);
    learned_release(l);
}

static void keep_without_permission(int unused)
{
    char *why = NULL;
    struct learned *l;
    bool told;

    (void)unused;
    /* root may everything: so be somebody else */
    if (geteuid() == 0 && (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)))
        _exit(1);
    l = learned_open(dir, false, LEARNEDDIR_OWNER, &why);
    if (!l || count_keys(l) != 1)
        _exit(2);
    if (add_digest(l, "b", "h:1", digest(B), &why) != LEARNED_FAILED)
        _exit(3);
    told = strstr(why, "learned.lock: Permission denied") != NULL;
    learned_release(l);
    free(why);
    _exit(told ? 0 : 4);
}

static void a_directory_that_cannot_be_written_is_reported(void **state)
{
    int status;

    (void)state;
    put("a h:1 " A " 2026-01-02\n");
    chmod(path_of("learned"), 0644);
    chmod(temp_dir(), 0755);
    chmod(dir, 0555);
    waitpid(start(keep_without_permission, 0), &status, 0);
    chmod(dir, 0700);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_string_equal(get(), "a h:1 " A " 2026-01-02\n");
}

static void what_is_in_place_of_the_new_file_is_not_written_to(void **state)
{
    const char *victim = temp_text("victim", "precious");
    struct learned *l = store();
    char *text;
    size_t n;

    (void)state;
    /* what a crash left */
    temp_text(path_of("learned.new") + strlen(temp_dir()) + 1, "half a li");
    assert_int_equal(keep(l, "a", "h:1", A), LEARNED_DONE);
    assert_string_equal(get(), "a h:1 " A " " TODAY " from=tofu\n");
    /* what somebody put there */
    assert_int_equal(symlink(victim, path_of("learned.new")), 0);
    assert_int_equal(keep(l, "b", "h:1", A), LEARNED_DONE);
    assert_int_equal(link(victim, path_of("learned.new")), 0);
    assert_int_equal(keep(l, "c", "h:1", A), LEARNED_DONE);
    assert_null(file_read(victim, FILE_CONFIGURED, 100, &text, &n));
    assert_string_equal(text, "precious");
    free(text);
    assert_false(exists("learned.new"));
    assert_int_equal(mkdir(path_of("learned.new"), 0700), 0);
    cannot_keep(l, "d", "h:1", "learned.new: ");
    assert_int_equal(rmdir(path_of("learned.new")), 0);
    /* the lock is no way round either */
    assert_int_equal(unlink(path_of("learned.lock")), 0);
    assert_int_equal(symlink(temp_path("made"), path_of("learned.lock")), 0);
    cannot_keep(l, "d", "h:1", "learned.lock: ");
    assert_int_not_equal(access(temp_path("made"), F_OK), 0);
    assert_int_equal(count_keys(l), 3);
    learned_release(l);
}

static void others_cannot_read_the_file(void **state)
{
    static const char *const names[] = {"learned", "learned.lock"};
    const mode_t before = umask(0);
    struct learned *l = store();
    const char *victim;
    struct stat st;
    size_t i;

    (void)state;
    assert_int_equal(keep(l, "a", "h:1", A), LEARNED_DONE);
    umask(before);
    for (i = 0; i < COUNT(names); i++) {
        assert_int_equal(stat(path_of(names[i]), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(st.st_uid, geteuid());
    }
    if (geteuid() == 0) {
        /* the service's directory: what root writes there the service can read and change */
        assert_int_equal(chown(dir, 65534, 65533), 0);
        assert_int_equal(keep(l, "b", "h:1", A), LEARNED_DONE);
        for (i = 0; i < COUNT(names); i++) {
            assert_int_equal(stat(path_of(names[i]), &st), 0);
            assert_int_equal(st.st_mode & 07777, 0600);
            assert_int_equal(st.st_uid, 65534);
            assert_int_equal(st.st_gid, 65533);
        }
        /* but he cannot have root's files by linking them there */
        victim = temp_text("root", "precious");
        assert_int_equal(unlink(path_of("learned.lock")), 0);
        assert_int_equal(link(victim, path_of("learned.lock")), 0);
        cannot_keep(l, "c", "h:1", "learned.lock: ");
        assert_int_equal(stat(victim, &st), 0);
        assert_int_equal(st.st_uid, 0);
    }
    learned_release(l);
}

/* Editors. */

static void *keep_and_forget(void *stop)
{
    struct learned *l = store();

    while (!atomic_load((atomic_bool *)stop)) {
        (void)keep(l, "a", "h:1", A);
        (void)forget(l, "a");
    }
    learned_release(l);
    return NULL;
}

/* Its temporary file comes and goes. */
static void opening_succeeds_while_the_file_is_being_changed(void **state)
{
    atomic_bool stop = false;
    pthread_t thread;
    int i;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, keep_and_forget, &stop), 0);
    for (i = 0; i < 2000; i++)
        learned_release(store());
    atomic_store(&stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_killed_writer_leaves_a_whole_file),
        TEST(a_held_lock_holds_up_no_look_up_and_no_change_for_ever),
        TEST(a_full_disk_leaves_the_file_as_it_was),
        TEST(a_directory_that_cannot_be_written_is_reported),
        TEST(what_is_in_place_of_the_new_file_is_not_written_to),
        TEST(others_cannot_read_the_file),
        TEST(opening_succeeds_while_the_file_is_being_changed),
    };

    umask(022); /* a file that the group may write is refused */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
