/* net/child: a program gets its two ends and nothing else of this process, and is ended whole. */
#include "net/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "help.h"

static struct child start(const char *script)
{
    char *argv[] = {(char *)"/bin/sh", (char *)"-c", (char *)script, NULL};
    struct child c;
    const int error = child_spawn(&c, argv);

    if (error)
        fail_msg("spawn: %s", strerror(error));
    return c;
}

static struct child_exit wait_exit(const struct child *c)
{
    struct pollfd p = {.fd = c->pidfd, .events = POLLIN};
    struct child_exit e;

    assert_int_equal(poll(&p, 1, 30000), 1);
    assert_true(child_has_exited(c, &e));
    return e;
}

static void finish(const struct child *c)
{
    child_reap(c);
    close(c->io);
    close(c->error);
    close(c->pidfd);
    assert_int_equal(waitpid(c->pid, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD); /* no zombie */
}

/* Returns what the program writes until it closes its output. */
static const char *read_all(int fd)
{
    static char text[8192];
    size_t have = 0;
    ssize_t n;

    (void)fcntl(fd, F_SETFL, 0);
    while ((n = read(fd, text + have, sizeof(text) - 1 - have)) > 0)
        have += (size_t)n;
    assert_int_equal(n, 0);
    text[have] = '\0';
    return text;
}

static void a_program_has_its_two_ends(void **state)
{
    struct child c = start("read line; echo \"got $line\"; echo oops >&2");
    struct child_exit e;

    (void)state;
    assert_int_equal(write(c.io, "hello\n", 6), 6);
    assert_string_equal(read_all(c.io), "got hello\n");
    assert_string_equal(read_all(c.error), "oops\n");
    e = wait_exit(&c);
    assert_true(e.exited);
    assert_int_equal(e.status, 0);
    finish(&c);
}

/* A socket pair takes 208 KiB unless its buffers are enlarged. */
static void a_program_can_write_more_than_a_turn_before_it_is_read(void **state)
{
    struct child c = start("dd if=/dev/zero bs=300000 count=1 2>/dev/null; echo written >&2");
    struct pollfd written = {.fd = c.error, .events = POLLIN};

    (void)state;
    assert_int_equal(poll(&written, 1, 30000), 1);
    assert_string_equal(read_all(c.error), "written\n");
    assert_int_equal(wait_exit(&c).status, 0);
    finish(&c);
}

static void a_program_gets_no_other_descriptor(void **state)
{
    const int leak = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */
    struct child c = start("exec ls -1 /proc/self/fd");

    (void)state;
    assert_true(leak > 2);
    assert_string_equal(read_all(c.io), "0\n1\n2\n3\n"); /* 3 is the directory that ls reads */
    (void)wait_exit(&c);
    finish(&c);
    close(leak);
}

static void a_program_gets_three_variables_of_the_environment(void **state)
{
    struct child c;

    (void)state;
    setenv("PINPROXY_SECRET", "1", 1);
    setenv("LANG", "C.UTF-8", 1);
    setenv("HOME", "/nowhere", 1);
    c = start("exec env");
    read_all(c.io);
    (void)wait_exit(&c);
    finish(&c);
    c = start(
        "exec env | cut -d= -f1 | grep -v -e '^PWD$' -e '^OLDPWD$' -e '^SHLVL$' -e '^_$' | sort");
    assert_string_equal(read_all(c.io), "HOME\nLANG\nPATH\n");
    (void)wait_exit(&c);
    finish(&c);
}

static void a_program_has_no_signal_blocked_or_ignored(void **state)
{
    sigset_t set, before;
    struct child c;
    const char *text, *ignored;

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, &before);
    c = start("exec grep -e SigBlk -e SigIgn /proc/self/status");
    sigprocmask(SIG_SETMASK, &before, NULL);
    text = read_all(c.io);
    assert_contains(text, "SigBlk:\t0000000000000000");
    ignored = strstr(text, "SigIgn:");
    assert_non_null(ignored);
    /* glibc's posix_spawn() leaves 32 and 33 ignored, which are its own */
    assert_int_equal(strtoull(ignored + 7, NULL, 16) & ~0x180000000ULL, 0);
    (void)wait_exit(&c);
    finish(&c);
}

static void an_exit_says_how(void **state)
{
    char text[CHILD_TEXT_SIZE];
    struct child c = start("exit 3");
    struct child_exit e = wait_exit(&c);

    (void)state;
    assert_string_equal(child_describe(&e, text), "exited with status 3");
    finish(&c);
    c = start("kill -9 $$");
    e = wait_exit(&c);
    assert_string_equal(child_describe(&e, text), "was killed by signal 9 (Killed)");
    finish(&c);
}

static void the_whole_group_ends(void **state)
{
    struct child c = start("sleep 1000 & trap '' TERM; echo up; wait; sleep 1000");
    struct child_exit e;
    char up[3];

    (void)state;
    assert_int_equal(read(c.io, up, 3), 3);
    assert_false(child_has_exited(&c, &e));
    child_kill(&c, SIGTERM);
    assert_false(child_has_exited(&c, &e)); /* it ignores this one */
    child_kill(&c, SIGKILL);
    e = wait_exit(&c);
    assert_int_equal(e.status, SIGKILL);
    assert_string_equal(read_all(c.io), ""); /* its children have closed their end as well */
    finish(&c);
}

static void what_a_program_leaves_behind_is_killed(void **state)
{
    struct child c = start("sleep 1000 & echo up");
    struct pollfd p = {.fd = c.io, .events = POLLIN};
    char up[3];

    (void)state;
    assert_int_equal(read(c.io, up, 3), 3);
    (void)wait_exit(&c);
    assert_int_equal(poll(&p, 1, 0), 0); /* the sleep has our end open */
    child_reap(&c);
    assert_int_equal(poll(&p, 1, 30000), 1);
    assert_string_equal(read_all(c.io), "");
    finish(&c);
}

static void a_program_that_cannot_run_is_an_error_and_leaves_nothing(void **state)
{
    static const struct {
        const char *path;
        int error;
    } rows[] = {{"/nowhere/at/all", ENOENT}, {"/etc/passwd", EACCES}, {"/etc", EACCES}};
    const int before = open("/dev/null", O_RDONLY);
    struct child c;
    size_t i;

    (void)state;
    close(before);
    for (i = 0; i < COUNT(rows); i++) {
        char *argv[] = {(char *)rows[i].path, NULL};

        assert_int_equal(child_spawn(&c, argv), rows[i].error);
    }
    assert_int_equal(open("/dev/null", O_RDONLY), before); /* no descriptor is left */
    close(before);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_has_its_two_ends),
        cmocka_unit_test(a_program_can_write_more_than_a_turn_before_it_is_read),
        cmocka_unit_test(a_program_gets_no_other_descriptor),
        cmocka_unit_test(a_program_gets_three_variables_of_the_environment),
        cmocka_unit_test(a_program_has_no_signal_blocked_or_ignored),
        cmocka_unit_test(an_exit_says_how),
        cmocka_unit_test(the_whole_group_ends),
        cmocka_unit_test(what_a_program_leaves_behind_is_killed),
        cmocka_unit_test(a_program_that_cannot_run_is_an_error_and_leaves_nothing),
    };

    alarm(120);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
