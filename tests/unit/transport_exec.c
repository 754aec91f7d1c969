/* net/transport_exec: the program is the connection, and ends with it. */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dialing.h"

static bool no_processes; /* posix_spawn(3) fails */

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *files,
                const posix_spawnattr_t *attributes, char *const argv[], char *const environment[])
{
    static __typeof__(posix_spawn) *real;

    if (no_processes)
        return EAGAIN;
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "posix_spawn");
    return real(pid, path, files, attributes, argv, environment);
}

static struct dialing *start(const char *const *argv)
{
    struct dialing *c = dialing_new("db.test", 443);

    c->section->via = (struct config_via){.scheme = VIA_EXEC, .argv = argv};
    dialing_start_over(c, &transport_exec);
    return c;
}

/* Runs the loop until the owner is called. */
static void wait_call(void)
{
    while (dialing_result.calls == 0)
        uv_run(&dialing_thread.loop, UV_RUN_ONCE);
}

static struct attachment *run(const char *script)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};

    capture_start();
    (void)start(argv);
    wait_call();
    if (dialing_result.fd < 0)
        fail_msg("%s", dialing_result.detail);
    assert_int_equal(dialing_result.kind, STREAM_SOCKET);
    assert_int_equal(dialing_result.peer.len, 0);
    assert_non_null(dialing_result.attachment);
    return dialing_result.attachment;
}

static bool called;

static void on_ended(struct attachment *a, void *owner)
{
    (void)a;
    assert_ptr_equal(owner, &called);
    assert_false(called);
    called = true;
}

/* Waits until the program's end is known, as an endpoint does at the end of the stream. */
static bool await(struct attachment *a)
{
    a->ended = on_ended;
    a->owner = &called;
    called = a->ops->has_ended(a);
    while (!called)
        uv_run(&dialing_thread.loop, UV_RUN_ONCE);
    return *a->ops->ending(a);
}

/* Releases, runs the loop to its end, and returns what was logged. */
static char *finish(struct attachment *a, bool reset)
{
    a->ops->release(a, reset);
    close(dialing_result.fd);
    dialing_finish();
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    return capture_end();
}

static void a_program_that_ends_in_order_has_not_failed(void **state)
{
    struct attachment *a = run("read line; echo \"got $line\"");
    char text[16] = "";
    char *log;

    (void)state;
    assert_string_equal(a->ops->ending(a), "");
    assert_int_equal(write(dialing_result.fd, "x\n", 2), 2);
    assert_int_equal(read(dialing_result.fd, text, sizeof(text)), 6);
    assert_string_equal(text, "got x\n");
    assert_int_equal(read(dialing_result.fd, text, sizeof(text)), 0);
    assert_true(await(a));
    assert_string_equal(a->ops->ending(a), "the program exited with status 0");
    assert_false(a->ops->has_failed(a));
    log = finish(a, false);
    assert_contains(log, "event=exec_exit section=db.test program=/bin/sh");
    assert_contains(log, "level=info");
    assert_contains(log, "status=0");
    free(log);
}

static void a_program_that_fails_says_how(void **state)
{
    struct attachment *a = run("exit 7");
    char *log, c;

    (void)state;
    assert_int_equal(read(dialing_result.fd, &c, 1), 0);
    assert_true(await(a));
    assert_string_equal(a->ops->ending(a), "the program exited with status 7");
    assert_true(a->ops->has_failed(a));
    log = finish(a, false);
    assert_contains(log, "level=warning event=exec_exit");
    assert_contains(log, "status=7");
    free(log);
}

static void a_program_that_only_closes_its_output_has_not_ended(void **state)
{
    struct attachment *a = run("exec >&- <&-; sleep 1000");
    char c;

    (void)state;
    assert_int_equal(read(dialing_result.fd, &c, 1), 0);
    assert_false(await(a));
    assert_false(a->ops->has_failed(a));
    free(finish(a, true));
}

static void a_reset_ends_the_program_with_a_signal_before_it_can_read_an_end(void **state)
{
    struct attachment *a = run("trap 'exit 9' TERM; echo up; read line; exit 5");
    char up[3], *log;

    (void)state;
    assert_int_equal(read(dialing_result.fd, up, 3), 3);
    log = finish(a, true);
    assert_contains(log, "status=9");
    free(log);
}

static void a_program_that_does_not_end_is_killed(void **state)
{
    struct attachment *a = run("trap '' TERM; echo up; while :; do sleep 1000; done");
    char up[3], *log;

    (void)state;
    assert_int_equal(read(dialing_result.fd, up, 3), 3);
    log = finish(a, true);
    assert_contains(log, "signal=9");
    assert_contains(log, "level=info event=exec_exit"); /* it is no fault */
    free(log);
}

static void a_program_may_finish_by_itself_after_an_end_in_order(void **state)
{
    struct attachment *a = run("trap 'exit 9' TERM; cat >/dev/null; exit 0");
    char *log = finish(a, false);

    (void)state;
    assert_contains(log, "status=0");
    free(log);
}

static void its_standard_error_is_logged_line_by_line(void **state)
{
    struct attachment *a = run("printf 'one\\n\\ntwo\\033[31m\\0x\\nthree' >&2");
    char *log, c;

    (void)state;
    assert_int_equal(read(dialing_result.fd, &c, 1), 0);
    assert_true(await(a));
    log = finish(a, false);
    assert_contains(log, "event=exec_stderr section=db.test program=/bin/sh");
    assert_contains(log, "line=one\n");
    assert_contains(log, "two");
    assert_contains(log, " x\"");
    assert_null(strchr(log, '\033'));
    assert_contains(log, "line=three\n");
    free(log);
}

static void a_long_line_is_cut(void **state)
{
    struct attachment *a = run(
        "head -c 100000 /dev/zero | tr '\\0' x >&2; echo >&2; echo next >&2");
    char *log;

    (void)state;
    while (!await(a))
        ;
    log = finish(a, false);
    assert_contains(log, "xxx...");
    assert_contains(log, "line=next\n");
    assert_true(strlen(log) < 4000);
    free(log);
}

static void a_program_that_cannot_run_is_a_failure_to_connect(void **state)
{
    const char *const argv[] = {"/nowhere/at/all", "x", NULL};

    (void)state;
    (void)start(argv);
    dialing_finish();
    dialing_assert_failed(REASON_CONNECT, "/nowhere/at/all: No such file or directory");
}

static void a_shortage_of_processes_is_reported_as_one(void **state)
{
    const char *const argv[] = {"/bin/true", NULL};

    (void)state;
    no_processes = true;
    (void)start(argv);
    dialing_finish();
    no_processes = false;
    dialing_assert_failed(REASON_PROCESSES, "/bin/true: no more processes are permitted");
}

static void a_cancelled_start_leaves_no_program(void **state)
{
    const char *const argv[] = {"/bin/sleep", "1000", NULL};
    struct dialing *c;
    int i;

    (void)state;
    for (i = 0; i < 2; i++) {
        capture_start();
        c = start(argv);
        if (i)
            usleep(100 * 1000); /* it has been started, but the loop does not know yet */
        transport_cancel(c->transport);
        dialing_forget(c);
        uv_run(&dialing_thread.loop, UV_RUN_DEFAULT);
        assert_int_equal(dialing_result.calls, 0);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        assert_int_equal(errno, ECHILD);
        free(capture_end());
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DIALING_TEST(a_program_that_ends_in_order_has_not_failed),
        DIALING_TEST(a_program_that_fails_says_how),
        DIALING_TEST(a_program_that_only_closes_its_output_has_not_ended),
        DIALING_TEST(a_reset_ends_the_program_with_a_signal_before_it_can_read_an_end),
        DIALING_TEST(a_program_that_does_not_end_is_killed),
        DIALING_TEST(a_program_may_finish_by_itself_after_an_end_in_order),
        DIALING_TEST(its_standard_error_is_logged_line_by_line),
        DIALING_TEST(a_long_line_is_cut),
        DIALING_TEST(a_program_that_cannot_run_is_a_failure_to_connect),
        DIALING_TEST(a_shortage_of_processes_is_reported_as_one),
        DIALING_TEST(a_cancelled_start_leaves_no_program),
    };

    return cmocka_run_group_tests(tests, dialing_group_setup, NULL);
}
