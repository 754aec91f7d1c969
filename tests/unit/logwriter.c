/* base/logwriter: who logs never waits, and every line is written or counted. */
#include "base/logwriter.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "help.h"

#define MANY 20000 /* lines, more than pipe and queue hold together */
#define LINE_SIZE 128

static int saved = -1;

static void redirect(int fd)
{
    saved = dup(STDERR_FILENO);
    assert_true(saved >= 0 && dup2(fd, STDERR_FILENO) == STDERR_FILENO);
}

static void restore(void)
{
    dup2(saved, STDERR_FILENO);
    close(saved);
}

static void report(uint64_t count, struct strbuf *out)
{
    strbuf_addf(out, "dropped %llu\n", (unsigned long long)count);
}

static void write_numbers(int from, int to)
{
    char line[LINE_SIZE + 1];
    int i;

    for (i = from; i < to; i++) {
        snprintf(line, sizeof(line), "%-*d\n", LINE_SIZE - 1, i);
        logwriter_write(line, strlen(line));
    }
}

/* What a reader has seen. */
struct seen {
    char rest[LINE_SIZE * 2];
    size_t len;
    int last;    /* number; -1 before the first */
    int lines;   /* of numbers */
    int dropped; /* that were reported */
    int reports;
};

static void take_line(struct seen *s, const char *line)
{
    char *end;
    long n;

    if (sscanf(line, "dropped %ld", &n) == 1) {
        s->dropped += (int)n;
        s->reports++;
        return;
    }
    n = strtol(line, &end, 10);
    if (end == line || end[strspn(end, " ")] != '\0')
        fail_msg("not a whole line: '%s'", line);
    assert_true(n > s->last);
    /* what is missing is reported where it is missing, never later */
    assert_int_equal(n, s->lines + s->dropped);
    s->last = (int)n;
    s->lines++;
}

static void take_bytes(struct seen *s, const char *bytes, size_t n)
{
    for (; n > 0; bytes++, n--) {
        if (*bytes == '\r')
            continue; /* of a terminal */
        if (*bytes != '\n') {
            assert_true(s->len < sizeof(s->rest) - 1);
            s->rest[s->len++] = *bytes;
            continue;
        }
        s->rest[s->len] = '\0';
        s->len = 0;
        take_line(s, s->rest);
    }
}

/* Reads until that many lines are there or accounted for. */
static void read_until(struct seen *s, int fd, int count)
{
    char bytes[4096];
    ssize_t n;

    while (s->lines + s->dropped < count) {
        n = read(fd, bytes, sizeof(bytes));
        if (n < 0 && errno == EINTR)
            continue;
        assert_true(n > 0);
        take_bytes(s, bytes, (size_t)n);
    }
    assert_int_equal(s->lines + s->dropped, count);
}

static void stop_writer(void)
{
    assert_true(logwriter_flush(60000));
    logwriter_stop();
    restore();
}

static void a_reader_that_stalls_stops_nobody(int out, int in, bool open)
{
    struct seen s = {.last = -1};
    const int flags = fcntl(out, F_GETFL);
    int reports;

    redirect(out);
    if (open)
        logwriter_open();
    assert_int_equal(logwriter_start(report), 0);
    assert_int_equal(fcntl(out, F_GETFL), flags); /* others may share it */
    write_numbers(0, MANY);
    read_until(&s, in, MANY);
    assert_true(s.dropped > 0);
    reports = s.reports;
    /* and then all is as before */
    write_numbers(MANY, MANY + 100);
    read_until(&s, in, MANY + 100);
    assert_int_equal(s.reports, reports);
    stop_writer();
    close(out);
    close(in);
}

static void a_pipe_that_nobody_reads_stops_nobody(void **state)
{
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    a_reader_that_stalls_stops_nobody(fds[1], fds[0], true);
}

static void a_pipe_that_cannot_be_opened_again_stops_nobody(void **state)
{
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    a_reader_that_stalls_stops_nobody(fds[1], fds[0], false);
}

static void a_socket_that_nobody_reads_stops_nobody(void **state)
{
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    a_reader_that_stalls_stops_nobody(fds[1], fds[0], true);
}

static void a_terminal_that_is_stopped_stops_nobody(void **state)
{
    int master, slave;

    (void)state;
    assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
    a_reader_that_stalls_stops_nobody(slave, master, true);
}

static void a_line_is_in_the_pipe_before_the_call_returns(void **state)
{
    struct seen s = {.last = -1};
    int fds[2];

    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    redirect(fds[1]);
    logwriter_open();
    assert_int_equal(logwriter_start(report), 0);
    for (int i = 0; i < 100; i++) {
        write_numbers(i, i + 1);
        read_until(&s, fds[0], i + 1); /* fails if nothing is there */
    }
    stop_writer();
    close(fds[0]);
    close(fds[1]);
}

static char *whole_file(int fd)
{
    off_t size = lseek(fd, 0, SEEK_END);
    char *text = calloc((size_t)size + 1, 1);

    assert_non_null(text);
    assert_int_equal(pread(fd, text, (size_t)size, 0), size);
    return text;
}

static void a_file_gets_every_line_in_order(void **state)
{
    struct seen s = {.last = -1};
    int fd = open(temp_path("log"), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    char *text;

    (void)state;
    redirect(fd);
    logwriter_open();
    assert_int_equal(logwriter_start(report), 0);
    for (int i = 0; i < 1000; i++) {
        write_numbers(i * 10, i * 10 + 10);
        if (i % 100 == 0)
            assert_true(logwriter_flush(60000));
    }
    stop_writer();
    text = whole_file(fd);
    take_bytes(&s, text, strlen(text));
    assert_int_equal(s.lines, 10000);
    free(text);
    close(fd);
}

/* As on a disk that is full: a line is cut, and the next ones fail. */
static void a_full_disk_is_reported_when_there_is_room_again(void **state)
{
    const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
    const struct rlimit small = {10 * LINE_SIZE + LINE_SIZE / 2, RLIM_INFINITY};
    int fd = open(temp_path("full"), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    char *text;

    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    redirect(fd);
    logwriter_open();
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(logwriter_start(report), 0);
    write_numbers(0, 15);
    assert_true(logwriter_flush(60000));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    /* nobody logs: the report comes all the same */
    do {
        usleep(10000);
        text = whole_file(fd);
        if (!strstr(text, "dropped")) {
            free(text);
            text = NULL;
        }
    } while (!text);
    write_numbers(15, 16);
    stop_writer();
    free(text);
    text = whole_file(fd);
    assert_contains(text, "\ndropped 5\n15 ");
    free(text);
    close(fd);
}

static void a_reader_that_has_gone_does_no_harm(void **state)
{
    int fds[2];

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    redirect(fds[1]);
    logwriter_open();
    assert_int_equal(logwriter_start(report), 0);
    write_numbers(0, 1);
    close(fds[0]);
    write_numbers(1, 100);
    stop_writer();
    close(fds[1]);
}

/* In a process of its own: the thread is stuck for good. */
static void the_end_waits_no_longer_than_its_limit(void **state)
{
    int fds[2], status = 0;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0) {
        alarm(60);
        dup2(fds[1], STDERR_FILENO);
        logwriter_open();
        if (logwriter_start(report) != 0)
            _exit(1);
        write_numbers(0, MANY);
        if (logwriter_flush(100))
            _exit(2);
        logwriter_stop();
        write_numbers(0, 10);
        /* not by _exit(2), where valgrind would take the stuck thread for a leak */
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    close(fds[0]);
    close(fds[1]);
}

static void *write_share(void *arg)
{
    static const char line[] = "a line of a thread\n";

    (void)arg;
    for (int i = 0; i < 5000; i++)
        logwriter_write(line, sizeof(line) - 1);
    return NULL;
}

static void threads_do_not_mix_their_lines(void **state)
{
    pthread_t threads[4];
    int fds[2], lines = 0, dropped = 0, n;
    char text[256];
    FILE *in;

    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    in = fdopen(fds[0], "r");
    redirect(fds[1]);
    logwriter_open();
    assert_int_equal(logwriter_start(report), 0);
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_share, NULL), 0);
    while (lines + dropped < 20000) {
        assert_non_null(fgets(text, sizeof(text), in));
        if (sscanf(text, "dropped %d", &n) == 1) {
            dropped += n;
        } else {
            assert_string_equal(text, "a line of a thread\n");
            lines++;
        }
    }
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    stop_writer();
    fclose(in);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pipe_that_nobody_reads_stops_nobody),
        cmocka_unit_test(a_pipe_that_cannot_be_opened_again_stops_nobody),
        cmocka_unit_test(a_socket_that_nobody_reads_stops_nobody),
        cmocka_unit_test(a_terminal_that_is_stopped_stops_nobody),
        cmocka_unit_test(a_line_is_in_the_pipe_before_the_call_returns),
        cmocka_unit_test(a_file_gets_every_line_in_order),
        cmocka_unit_test(a_full_disk_is_reported_when_there_is_room_again),
        cmocka_unit_test(a_reader_that_has_gone_does_no_harm),
        cmocka_unit_test(the_end_waits_no_longer_than_its_limit),
        cmocka_unit_test(threads_do_not_mix_their_lines),
    };

    alarm(300); /* what never comes is a failure as well */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
