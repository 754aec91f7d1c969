/* base/file: small files read whole. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "help.h"

static void a_file_comes_whole_and_terminated(void **state)
{
    static const size_t sizes[] = {0, 1, 4094, 4095, 4096, 4097, 10000};
    char bytes[10000], *data;
    size_t i, len;

    (void)state;
    for (i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i % 7); /* NUL among them */
    for (i = 0; i < COUNT(sizes); i++) {
        assert_null(file_read(temp_file("f", bytes, sizes[i]), FILE_CONFIGURED, sizeof(bytes),
                              &data, &len));
        assert_int_equal(len, sizes[i]);
        assert_memory_equal(data, bytes, len);
        assert_int_equal(data[len], 0);
        free(data);
    }
}

static void a_file_that_is_too_large_is_not_cut(void **state)
{
    const char *path = temp_text("f", "12345");
    char *data = NULL;
    size_t len = 77;

    (void)state;
    assert_null(file_read(path, FILE_CONFIGURED, 5, &data, &len));
    free(data);
    data = NULL;
    len = 77;
    assert_string_equal(file_read(path, FILE_CONFIGURED, 4, &data, &len), "is too large");
    assert_null(data);
    assert_int_equal(len, 77);
    /* one that never ends */
    assert_string_equal(file_read("/dev/zero", FILE_ARGUMENT, 100000, &data, &len), "is too large");
}

static void a_file_that_cannot_be_read_is_an_error(void **state)
{
    char *data = NULL;
    size_t len;

    (void)state;
    assert_string_equal(file_read(temp_path("none"), FILE_CONFIGURED, 9, &data, &len),
                        "No such file or directory");
    assert_string_equal(file_read(temp_dir(), FILE_CONFIGURED, 9, &data, &len), "Is a directory");
    assert_null(data);
}

/* Behind each a read would wait, or never end. */
static void what_a_configuration_names_must_be_a_regular_file(void **state)
{
    const char *fifo = temp_path("fifo"), *sock = temp_path("sock"), *link = temp_path("link");
    const struct {
        const char *path, *part;
    } rows[] = {{fifo, "is a pipe"},          {sock, "is a socket"},        {link, "is a pipe"},
                {"/dev/null", "is a device"}, {"/dev/zero", "is a device"}, {"-", "No such file"}};
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    char *data = NULL;
    size_t len, i;

    (void)state;
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(symlink("fifo", link), 0);
    snprintf(name.sun_path, sizeof(name.sun_path), "%s", sock);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
    for (i = 0; i < COUNT(rows); i++)
        assert_contains(file_read(rows[i].path, FILE_CONFIGURED, 100, &data, &len), rows[i].part);
    assert_null(data);
    close(fd);
}

static void a_link_to_a_regular_file_is_read(void **state)
{
    const char *path = temp_path("to-file");
    char *data;
    size_t len;

    (void)state;
    temp_text("f", "12345");
    assert_int_equal(symlink("f", path), 0);
    assert_null(file_read(path, FILE_CONFIGURED, 5, &data, &len));
    assert_string_equal(data, "12345");
    free(data);
}

/* Its size is 0 to stat(2). */
static void a_file_of_proc_comes_with_its_content(void **state)
{
    char *data;
    size_t len;

    (void)state;
    assert_null(file_read("/proc/self/stat", FILE_CONFIGURED, 100000, &data, &len));
    assert_true(len > 0);
    free(data);
}

/* As a shell makes it of <(command): the writer may be late. */
static void a_pipe_on_the_command_line_is_read_to_its_end(void **state)
{
    int ends[2];
    char *data, path[64];
    size_t len;
    pid_t child;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        close(ends[0]);
        usleep(100000);
        _exit(write(ends[1], "late", 4) != 4);
    }
    close(ends[1]);
    snprintf(path, sizeof(path), "/dev/fd/%d", ends[0]);
    assert_contains(file_read(path, FILE_CONFIGURED, 100, &data, &len), "is a pipe");
    assert_null(file_read(path, FILE_ARGUMENT, 100, &data, &len));
    assert_string_equal(data, "late");
    free(data);
    close(ends[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void relative_paths_start_at_the_directory(void **state)
{
    struct arena a = {0};

    (void)state;
    assert_string_equal(file_resolve(&a, "/etc/x", "a/b"), "/etc/x/a/b");
    assert_string_equal(file_resolve(&a, "/etc/x", "/a/b"), "/a/b");
    assert_string_equal(file_resolve(&a, NULL, "a/b"), "a/b");
    assert_string_equal(file_directory(&a, "/etc/x/y.conf"), "/etc/x");
    assert_string_equal(file_directory(&a, "/y.conf"), "/");
    assert_string_equal(file_directory(&a, "y.conf"), ".");
    assert_string_equal(file_directory(&a, "x/y.conf"), "x");
    arena_free(&a);
}

/* A leftover of a crash, of whatever kind, is in the way of nobody and is not written to. */
static void a_file_is_replaced_whole(void **state)
{
    static const char before[] = "before", after[] = "after, and longer";
    const char *victim = temp_text("victim", "kept");
    struct stat identity = {0}, st;
    char *data;
    size_t len;
    int dir = open(temp_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)state;
    assert_true(dir >= 0);
    (void)temp_text("state", before);
    assert_int_equal(symlink(victim, temp_path("state.new")), 0);
    assert_true(file_replace(dir, "state", after, strlen(after), &identity));
    assert_null(file_read(temp_path("state"), FILE_CONFIGURED, 99, &data, &len));
    assert_string_equal(data, after);
    free(data);
    assert_null(file_read(victim, FILE_CONFIGURED, 99, &data, &len));
    assert_string_equal(data, "kept");
    free(data);
    assert_int_equal(lstat(temp_path("state"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_ino, identity.st_ino);
    assert_int_equal(lstat(temp_path("state.new"), &st), -1);
    /* what cannot be renamed leaves the old one, and nothing beside it */
    assert_int_equal(mkdir(temp_path("taken"), 0700), 0);
    memset(&identity, 0, sizeof(identity));
    assert_false(file_replace(dir, "taken", after, strlen(after), &identity));
    assert_int_equal(errno, EISDIR);
    assert_int_equal(identity.st_ino, 0);
    assert_int_equal(lstat(temp_path("taken.new"), &st), -1);
    close(dir);
}

static void *read_slowly(void *arg)
{
    static char bytes[1 << 20];
    const int fd = *(int *)arg;
    size_t got = 0;
    ssize_t n;

    usleep(20000);
    while (got < sizeof(bytes) && (n = read(fd, bytes + got, 4096)) > 0)
        got += (size_t)n;
    close(fd);
    return got == sizeof(bytes) && bytes[0] == 'a' && bytes[got - 1] == 'z' ? arg : NULL;
}

/* Also to a pipe that someone has made non-blocking. */
static void all_bytes_are_written_or_the_failure_is_returned(void **state)
{
    static char bytes[1 << 20];
    pthread_t reader;
    int fds[2];
    void *ok;

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    bytes[0] = 'a';
    bytes[sizeof(bytes) - 1] = 'z';
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(pthread_create(&reader, NULL, read_slowly, &fds[0]), 0);
    assert_true(file_write_all(fds[1], bytes, sizeof(bytes)));
    assert_int_equal(pthread_join(reader, &ok), 0);
    assert_non_null(ok);
    assert_false(file_write_all(fds[1], bytes, 1));
    assert_int_equal(errno, EPIPE);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_replaced_whole),
        cmocka_unit_test(all_bytes_are_written_or_the_failure_is_returned),
        cmocka_unit_test(a_file_comes_whole_and_terminated),
        cmocka_unit_test(a_file_that_is_too_large_is_not_cut),
        cmocka_unit_test(a_file_that_cannot_be_read_is_an_error),
        cmocka_unit_test(what_a_configuration_names_must_be_a_regular_file),
        cmocka_unit_test(a_link_to_a_regular_file_is_read),
        cmocka_unit_test(a_file_of_proc_comes_with_its_content),
        cmocka_unit_test(a_pipe_on_the_command_line_is_read_to_its_end),
        cmocka_unit_test(relative_paths_start_at_the_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
