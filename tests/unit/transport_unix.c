/* net/transport_unix: a server is found at its path, or the reason why not is told. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dialing.h"
#include "net/listening.h"

static struct addr at;

/* Binds a Unix socket at a name in the test's directory. */
static int bind_unix(const char *name, int type)
{
    const int fd = socket(AF_UNIX, type | SOCK_NONBLOCK, 0);

    assert_true(addr_from_unix(&at, temp_path("%s", name)));
    (void)unlink(at.un.sun_path);
    assert_int_equal(bind(fd, &at.sa, at.len), 0);
    return fd;
}

static struct dialing *start(const char *name)
{
    struct dialing *c = dialing_new("db.test", 443);

    c->section->via = (struct config_via){.scheme = VIA_UNIX, .path = temp_path("%s", name)};
    dialing_start_over(c, &transport_unix);
    return c;
}

static void assert_connected(int listener)
{
    const int fd = accept(listener, NULL, NULL);
    char c = 0;

    if (dialing_result.fd < 0)
        fail_msg("%s", dialing_result.detail);
    assert_int_equal(dialing_result.kind, STREAM_SOCKET);
    assert_null(dialing_result.attachment);
    assert_true(addr_equal(&dialing_result.peer, &at));
    assert_true(fcntl(dialing_result.fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(dialing_result.fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(dialing_result.fd, "x", 1), 1);
    assert_int_equal(read(fd, &c, 1), 1);
    assert_int_equal(c, 'x');
    close(fd);
    close(dialing_result.fd);
}

static void the_owner_gets_the_connected_stream(void **state)
{
    const int listener = bind_unix("server", SOCK_STREAM);

    (void)state;
    assert_int_equal(listen(listener, 8), 0);
    (void)start("server");
    dialing_finish();
    assert_connected(listener);
    close(listener);
}

static void a_failure_says_what_is_at_the_path(void **state)
{
    int fd;

    (void)state;
    (void)start("missing");
    dialing_finish();
    dialing_assert_failed(REASON_CONNECT, "missing: No such file or directory");
    fd = bind_unix("deaf", SOCK_STREAM);
    (void)start("deaf");
    dialing_finish();
    dialing_assert_failed(REASON_CONNECT, "deaf: Connection refused: no program listens on it");
    close(fd);
    (void)temp_text("file", "");
    (void)start("file");
    dialing_finish();
    dialing_assert_failed(REASON_CONNECT, "file: it is no socket");
    fd = bind_unix("datagrams", SOCK_DGRAM);
    (void)start("datagrams");
    dialing_finish();
    dialing_assert_failed(REASON_CONNECT, "datagrams: it is a socket for datagrams");
    close(fd);
}

static void a_full_backlog_is_waited_for(void **state)
{
    const int listener = bind_unix("full", SOCK_STREAM);
    int fillers[16], fd, n = 0, i;
    struct dialing *c;

    (void)state;
    assert_int_equal(listen(listener, 0), 0);
    do {
        assert_true(n < 16);
        fillers[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    } while (connect(fillers[n++], &at.sa, at.len) == 0);
    assert_int_equal(errno, EAGAIN);
    c = start("full");
    while (!c->transport->obstacle)
        uv_run(&dialing_thread.loop, UV_RUN_ONCE);
    assert_contains(c->transport->obstacle, "backlog");
    assert_int_equal(dialing_result.calls, 0);
    for (i = 0; i < n - 1; i++) {
        fd = accept(listener, NULL, NULL);
        assert_true(fd >= 0);
        close(fd);
    }
    dialing_finish();
    assert_connected(listener);
    dialing_close(fillers, (size_t)n);
    close(listener);
}

static void a_cancelled_owner_is_not_called(void **state)
{
    const int listener = bind_unix("cancel", SOCK_STREAM);
    struct dialing *c;

    (void)state;
    assert_int_equal(listen(listener, 8), 0);
    c = start("cancel");
    transport_cancel(c->transport);
    dialing_forget(c);
    uv_run(&dialing_thread.loop, UV_RUN_DEFAULT);
    assert_int_equal(dialing_result.calls, 0);
    assert_int_equal(accept(listener, NULL, NULL), -1);
    close(listener);
}

static void an_own_listener_is_refused_under_every_name(void **state)
{
    const int fd = bind_unix("own", SOCK_STREAM);
    struct listening own = {.dev = 0};
    struct stat st;

    (void)state;
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(stat(at.un.sun_path, &st), 0);
    own.dev = st.st_dev;
    own.ino = st.st_ino;
    listening_add(&own, fd, &at, "mine.test");
    (void)start("own");
    dialing_finish();
    dialing_assert_failed(REASON_LOOP, "own listener");
    (void)unlink(temp_path("alias"));
    assert_int_equal(symlink(at.un.sun_path, temp_path("alias")), 0);
    (void)start("alias");
    dialing_finish();
    dialing_assert_failed(REASON_LOOP, "[mine.test]");
    assert_int_equal(accept(fd, NULL, NULL), -1);
    listening_remove(&own);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DIALING_TEST(the_owner_gets_the_connected_stream),
        DIALING_TEST(a_failure_says_what_is_at_the_path),
        DIALING_TEST(a_full_backlog_is_waited_for),
        DIALING_TEST(a_cancelled_owner_is_not_called),
        DIALING_TEST(an_own_listener_is_refused_under_every_name),
    };

    return cmocka_run_group_tests(tests, dialing_group_setup, NULL);
}
