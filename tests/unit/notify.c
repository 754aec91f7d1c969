/* base/notify: what the service manager gets to hear. */
#include "base/notify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "help.h"

/* A service manager's socket; name may start with '@'. */
static int listen_at(const char *name)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0 && strlen(name) < sizeof(un.sun_path));
    memcpy(un.sun_path, name, strlen(name));
    if (name[0] == '@')
        un.sun_path[0] = '\0';
    assert_int_equal(bind(fd, (struct sockaddr *)&un,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
                     0);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

static void assert_got(int fd, const char *want)
{
    char got[1024];
    ssize_t n = recv(fd, got, sizeof(got) - 1, 0);

    assert_true(n >= 0);
    got[n] = '\0';
    assert_string_equal(got, want);
}

static void assert_silence(int fd)
{
    char got[8];

    assert_int_equal(recv(fd, got, sizeof(got), 0), -1);
    assert_int_equal(errno, EAGAIN);
}

static void hear_all(const char *name)
{
    int fd = listen_at(name);
    char got[256];
    long long usec;
    ssize_t n;

    notify_ready("3 sections, 100% ready");
    assert_got(fd, "READY=1\nSTATUS=3 sections, 100% ready");
    notify_stopping("bye");
    assert_got(fd, "STOPPING=1\nSTATUS=bye");
    notify_send("WATCHDOG=%d", 1);
    assert_got(fd, "WATCHDOG=1");
    /* Type=notify-reload wants both in one message */
    notify_reloading();
    n = recv(fd, got, sizeof(got) - 1, 0);
    assert_true(n > 0);
    got[n] = '\0';
    assert_int_equal(sscanf(got, "RELOADING=1\nMONOTONIC_USEC=%lld", &usec), 1);
    assert_true(usec > 0);
    assert_silence(fd);
    close(fd);
}

static void messages_arrive_on_a_path(void **state)
{
    (void)state;
    hear_all(temp_path("notify"));
}

static void messages_arrive_on_an_abstract_socket(void **state)
{
    char name[64];

    (void)state;
    snprintf(name, sizeof(name), "@pinproxy-unit-%d", (int)getpid());
    hear_all(name);
}

static void a_message_is_sent_whole_or_not_at_all(void **state)
{
    int fd = listen_at(temp_path("notify2"));
    char status[1000];

    (void)state;
    memset(status, 'x', sizeof(status) - 1);
    status[sizeof(status) - 1] = '\0';
    notify_ready(status);
    assert_silence(fd);
    close(fd);
}

static void without_a_service_manager_nothing_happens(void **state)
{
    char path[200];

    (void)state;
    unsetenv("NOTIFY_SOCKET");
    notify_ready("x");
    setenv("NOTIFY_SOCKET", "", 1);
    notify_ready("x");
    setenv("NOTIFY_SOCKET", "relative", 1);
    notify_ready("x");
    setenv("NOTIFY_SOCKET", "@", 1);
    notify_ready("x");
    setenv("NOTIFY_SOCKET", temp_path("nobody"), 1);
    notify_ready("x");
    memset(path, '/', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    setenv("NOTIFY_SOCKET", path, 1);
    notify_ready("x");
    /* it did not leave descriptors behind */
    assert_int_equal(dup2(0, 3), 3);
    close(3);
}

/* Its queue holds a few: net.unix.max_dgram_qlen. */
static void a_service_manager_that_does_not_read_stops_nobody(void **state)
{
    int fd = listen_at(temp_path("notify3")), last = -1, n;
    char got[64];
    ssize_t len;

    (void)state;
    for (n = 0; n < 2000; n++)
        notify_send("WATCHDOG=%d", n);
    while (last < 1999) {
        len = recv(fd, got, sizeof(got) - 1, 0);
        if (len < 0) {
            assert_int_equal(errno, EAGAIN);
            notify_retry();
            continue;
        }
        got[len] = '\0';
        assert_int_equal(sscanf(got, "WATCHDOG=%d", &n), 1);
        assert_true(n > last); /* in order */
        last = n;
    }
    notify_retry();
    assert_silence(fd);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_arrive_on_a_path),
        cmocka_unit_test(messages_arrive_on_an_abstract_socket),
        cmocka_unit_test(a_message_is_sent_whole_or_not_at_all),
        cmocka_unit_test(a_service_manager_that_does_not_read_stops_nobody),
        cmocka_unit_test(without_a_service_manager_nothing_happens),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
