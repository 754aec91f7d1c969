/* net/transport_serial: the device is set to raw bytes, and one has it at a time. */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <termios.h>
#include <unistd.h>

#include "dialing.h"

static int master;
static char device[64];

/* Opens a pseudoterminal as a shell would have it: with echo, lines and a byte that nobody read. */
static void make_device(void)
{
    int slave;

    assert_int_equal(openpty(&master, &slave, device, NULL, NULL), 0);
    assert_int_equal(write(master, "stale\n", 6), 6);
    close(slave);
}

static struct dialing *start(const char *path, long baud)
{
    struct dialing *c = dialing_new("box.test", 443);

    c->section->via = (struct config_via){.scheme = VIA_SERIAL, .path = path, .baud = baud};
    dialing_start_over(c, &transport_serial);
    return c;
}

static struct attachment *connect_device(long baud)
{
    (void)start(device, baud);
    while (dialing_result.calls == 0)
        uv_run(&dialing_thread.loop, UV_RUN_ONCE);
    if (dialing_result.fd < 0)
        fail_msg("%s", dialing_result.detail);
    assert_int_equal(dialing_result.kind, STREAM_TERMINAL);
    assert_non_null(dialing_result.attachment);
    return dialing_result.attachment;
}

static void finish(struct attachment *a, bool reset)
{
    a->ops->release(a, reset);
    close(dialing_result.fd);
    dialing_finish();
}

static void the_device_is_raw_and_has_the_speed(void **state)
{
    struct attachment *a;
    struct termios t;
    char text[8] = "";

    (void)state;
    make_device();
    a = connect_device(9600);
    assert_int_equal(tcgetattr(dialing_result.fd, &t), 0);
    assert_int_equal(cfgetospeed(&t), B9600);
    assert_int_equal(cfgetispeed(&t), B9600);
    assert_int_equal(t.c_lflag & (ICANON | ECHO | ISIG | IEXTEN), 0);
    assert_int_equal(t.c_oflag & OPOST, 0);
    assert_int_equal(t.c_iflag & (IXON | ICRNL | ISTRIP), 0);
    assert_int_equal(t.c_cflag & (CSIZE | PARENB | CSTOPB | CRTSCTS), CS8);
    assert_true(t.c_cflag & CLOCAL);
    assert_true(fcntl(dialing_result.fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(dialing_result.fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(read(dialing_result.fd, text, sizeof(text)), -1); /* nothing is stale */
    assert_int_equal(write(master, "\x03\r\n\x11", 4), 4);
    usleep(1000);
    assert_int_equal(read(dialing_result.fd, text, sizeof(text)), 4);
    assert_memory_equal(text, "\x03\r\n\x11", 4);
    assert_string_equal(a->ops->ending(a), "");
    assert_true(a->ops->has_ended(a));
    finish(a, false);
    close(master);
}

static void the_second_waits_until_the_first_has_ended(void **state)
{
    struct attachment *first;
    struct dialing *second;
    int first_fd;

    (void)state;
    make_device();
    first = connect_device(115200);
    first_fd = dialing_result.fd;
    second = start(device, 115200);
    while (!second->transport->obstacle)
        uv_run(&dialing_thread.loop, UV_RUN_ONCE);
    assert_contains(second->transport->obstacle, "in use");
    assert_int_equal(dialing_result.calls, 0);
    first->ops->release(first, false);
    close(first_fd);
    while (dialing_result.calls == 0)
        uv_run(&dialing_thread.loop, UV_RUN_ONCE);
    assert_true(dialing_result.fd >= 0);
    finish(dialing_result.attachment, true);
    close(master);
}

static void a_device_that_another_program_has_locked_is_waited_for(void **state)
{
    struct dialing *c;
    int other;

    (void)state;
    make_device();
    other = open(device, O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_int_equal(flock(other, LOCK_EX), 0);
    c = start(device, 115200);
    while (!c->transport->obstacle)
        uv_run(&dialing_thread.loop, UV_RUN_ONCE);
    transport_cancel(c->transport);
    dialing_forget(c);
    uv_run(&dialing_thread.loop, UV_RUN_DEFAULT);
    assert_int_equal(dialing_result.calls, 0);
    close(other);
    close(master);
}

static void a_cancelled_start_gives_the_device_back(void **state)
{
    struct dialing *c;

    (void)state;
    make_device();
    c = start(device, 115200);
    usleep(50 * 1000); /* it is open, but the loop does not know yet */
    transport_cancel(c->transport);
    dialing_forget(c);
    uv_run(&dialing_thread.loop, UV_RUN_DEFAULT);
    assert_int_equal(dialing_result.calls, 0);
    finish(connect_device(115200), false);
    close(master);
}

/* It remembers that it is claimed as long as anybody has it open. */
static void a_shortage_of_descriptors_leaves_the_device_free(void **state)
{
    struct rlimit all, few;
    int slave, exclusive, tries;

    (void)state;
    make_device();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
    finish(connect_device(115200), false); /* libuv has its own descriptors now */
    slave = open(device, O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(slave >= 0);
    few = all;
    for (tries = 1; tries <= 2; tries++) {
        few.rlim_cur = (rlim_t)(slave + tries);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        (void)start(device, 115200);
        dialing_finish();
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
        dialing_assert_failed(REASON_FILES, strerror(EMFILE));
        assert_int_equal(ioctl(slave, TIOCGEXCL, &exclusive), 0);
        assert_false(exclusive);
    }
    close(slave);
    close(master);
}

static void the_last_bytes_are_sent_before_the_device_is_closed(void **state)
{
    struct attachment *a;
    char text[64] = "";
    size_t have = 0;
    ssize_t n;

    (void)state;
    make_device();
    a = connect_device(115200);
    assert_int_equal(write(dialing_result.fd, "close_notify", 12), 12);
    finish(a, false);
    while ((n = read(master, text + have, sizeof(text) - 1 - have)) > 0)
        have += (size_t)n;
    assert_contains(text, "close_notify"); /* behind the echo of what was stale */
    close(master);
}

static void what_is_no_terminal_is_refused(void **state)
{
    (void)state;
    (void)start(temp_path("missing"), 9600);
    dialing_finish();
    dialing_assert_failed(REASON_CONNECT, "missing: No such file or directory");
    (void)start(temp_text("file", "x"), 9600);
    dialing_finish();
    dialing_assert_failed(REASON_CONNECT, "file: it is no terminal device");
    (void)start("/dev/null", 9600);
    dialing_finish();
    dialing_assert_failed(REASON_CONNECT, "/dev/null: it is no terminal device");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DIALING_TEST(the_device_is_raw_and_has_the_speed),
        DIALING_TEST(the_second_waits_until_the_first_has_ended),
        DIALING_TEST(a_device_that_another_program_has_locked_is_waited_for),
        DIALING_TEST(a_cancelled_start_gives_the_device_back),
        DIALING_TEST(a_shortage_of_descriptors_leaves_the_device_free),
        DIALING_TEST(the_last_bytes_are_sent_before_the_device_is_closed),
        DIALING_TEST(what_is_no_terminal_is_refused),
    };

    return cmocka_run_group_tests(tests, dialing_group_setup, NULL);
}
