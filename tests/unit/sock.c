/* base/sock: sockets as the daemon wants them. */
#include "base/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "help.h"

static int option(int fd, int level, int name)
{
    socklen_t len = sizeof(int);
    int value = -1;

    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

/* A connected pair over loopback. */
static void tcp_pair(int *a, int *b)
{
    struct addr at;
    socklen_t len = sizeof(at.in);
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(addr_from_ip(&at, "127.0.0.1", 0));
    assert_int_equal(bind(listener, &at.sa, at.len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, &at.sa, &len), 0);
    *a = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(*a, &at.sa, at.len), 0);
    *b = accept(listener, NULL, NULL);
    assert_true(*b >= 0);
    close(listener);
}

static void sockets_neither_block_nor_leak_into_children(void **state)
{
    static const int families[] = {AF_INET, AF_INET6, AF_UNIX};
    size_t i;
    int fd;

    (void)state;
    for (i = 0; i < COUNT(families); i++) {
        fd = sock_open(families[i]);
        assert_true(fd >= 0);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        close(fd);
    }
    assert_int_equal(sock_open(-1), -1);
}

static void keepalive_stays_in_what_the_kernel_takes(void **state)
{
    static const struct {
        int64_t ms;
        int idle, interval;
    } rows[] = {{1, 1, 1},
                {1000, 1, 1},
                {1001, 2, 1},
                {20000, 20, 5},
                {60000, 60, 10},
                {32767000, 32767, 10},
                {INT64_C(315360000000), 32767, 10}};
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        int fd = sock_open(AF_INET), interval;

        sock_tune(fd, AF_INET, rows[i].ms);
        assert_int_equal(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
        assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
        assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), rows[i].idle);
        interval = option(fd, IPPROTO_TCP, TCP_KEEPINTVL);
        assert_int_equal(interval, rows[i].interval);
        assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPCNT), 5);
        assert_int_equal(sock_keepalive_limit(rows[i].ms), 1000 * (rows[i].idle + 5 * interval));
        close(fd);
    }
}

/* Else a reload could not switch it off: accepted sockets inherit it from the listener. */
static void keepalive_that_was_on_goes_off(void **state)
{
    int fd = sock_open(AF_INET);

    (void)state;
    assert_true(fd >= 0);
    sock_tune(fd, AF_INET, 60000);
    assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    sock_tune(fd, AF_INET, 0);
    assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    close(fd);
}

static void keepalive_off_is_off(void **state)
{
    int fd = sock_open(AF_INET6);

    (void)state;
    sock_tune(fd, AF_INET6, 0);
    assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    close(fd);
    fd = sock_open(AF_UNIX);
    sock_tune(fd, AF_UNIX, 60000);
    assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    close(fd);
}

static void a_reset_is_seen_as_one(void **state)
{
    char byte;
    int a, b;

    (void)state;
    tcp_pair(&a, &b);
    sock_close_reset(a);
    assert_int_equal(read(b, &byte, 1), -1);
    assert_int_equal(errno, ECONNRESET);
    close(b);
    tcp_pair(&a, &b);
    close(a);
    assert_int_equal(read(b, &byte, 1), 0);
    close(b);
}

static void bytes_that_the_peer_has_not_taken_are_counted(void **state)
{
    static char bytes[65536];
    ssize_t n;
    int a, b;

    (void)state;
    tcp_pair(&a, &b);
    assert_int_equal(sock_unsent(a), 0);
    assert_int_equal(fcntl(a, F_SETFL, O_NONBLOCK), 0);
    do
        n = write(a, bytes, sizeof(bytes));
    while (n > 0);
    assert_true(sock_unsent(a) > 0);
    close(a);
    close(b);
    assert_int_equal(sock_unsent(-1), 0);
}

static void urgent_data_travels_in_line(void **state)
{
    char text[8];
    int a, b, pair[2];

    (void)state;
    tcp_pair(&a, &b);
    sock_tune(a, AF_INET, 0);
    assert_int_equal(option(a, SOL_SOCKET, SO_OOBINLINE), 1);
    assert_int_equal(send(b, "abc", 3, MSG_OOB), 3);
    assert_int_equal(recv(a, text, 8, 0) + recv(a, text + 2, 6, 0), 3);
    assert_memory_equal(text, "abc", 3);
    close(a);
    close(b);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    sock_oob_inline(pair[0]);
    assert_int_equal(option(pair[0], SOL_SOCKET, SO_OOBINLINE), 1);
    close(pair[0]);
    close(pair[1]);
}

static void an_error_is_taken_once(void **state)
{
    int a, b;

    (void)state;
    tcp_pair(&a, &b);
    assert_int_equal(sock_take_error(a), 0);
    sock_close_reset(b);
    assert_int_equal(sock_take_error(a), ECONNRESET);
    assert_int_equal(sock_take_error(a), 0);
    close(a);
}

static void a_peer_that_answers_but_does_not_read_is_not_silent(void **state)
{
    static char bytes[65536];
    struct sock_acks acks;
    ssize_t n;
    int a, b, i;

    (void)state;
    tcp_pair(&a, &b);
    assert_true(sock_acks(a, &acks));
    assert_false(acks.pending);
    assert_false(acks.unanswered);
    assert_int_equal(fcntl(a, F_SETFL, O_NONBLOCK), 0);
    for (i = 0; i < 30; i++) {
        do
            n = write(a, bytes, sizeof(bytes));
        while (n > 0);
        usleep(10000);
    }
    /* each probe is answered: again and again nothing is outstanding, as it never is with a peer that is gone */
    for (i = 0, n = 0; i < 2000 && n < 25; i++, usleep(10000)) {
        assert_true(sock_acks(a, &acks));
        assert_true(acks.pending);
        n += !acks.unanswered;
    }
    assert_int_equal(n, 25);
    close(a);
    close(b);
    assert_false(sock_acks(-1, &acks));
}

static void bytes_that_can_be_read_are_counted(void **state)
{
    int a, b, pair[2];

    (void)state;
    tcp_pair(&a, &b);
    assert_int_equal(sock_unread(a), 0);
    assert_false(sock_has_unread(a));
    assert_int_equal(write(b, "abc", 3), 3);
    assert_int_equal(sock_unread(a), 3);
    assert_true(sock_has_unread(a));
    assert_int_equal(sock_unread(a), 3);
    close(a);
    close(b);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(write(pair[0], "abc", 3), 3);
    close(pair[0]);
    assert_int_equal(sock_unread(pair[1]), 3);
    assert_true(sock_has_unread(pair[1]));
    close(pair[1]);
    assert_int_equal(sock_unread(-1), 0);
    assert_false(sock_has_unread(-1));
}

static void shortage_is_distinguished_from_other_errors(void **state)
{
    (void)state;
    assert_true(sock_error_is_shortage(EMFILE));
    assert_true(sock_error_is_shortage(ENFILE));
    assert_true(sock_error_is_shortage(ENOBUFS));
    assert_true(sock_error_is_shortage(ENOMEM));
    assert_false(sock_error_is_shortage(ECONNREFUSED));
    assert_false(sock_error_is_shortage(EAGAIN));
    assert_false(sock_error_is_shortage(0));
}

/*
 * In a network of its own: two addresses of one subnet, of which the kernel uses the first as a
 * source.
 */
static void check_local_addresses(bool nonlocal_bind)
{
    static const char *const local[] = {"198.51.100.5",  "198.51.100.6", "127.9.9.9",
                                        "2001:db8:1::5", "203.0.114.9",  "2001:db8:2::9"};
    static const char *const remote[] = {"198.51.100.7", "203.0.113.1", "2001:db8:1::6",
                                         "192.0.2.1", "2001:db8:3::1"};
    struct addr a;
    size_t i;

    if (system(
            "exec 2>/dev/null; ip link set lo up && ip link add dev v0 type veth peer name v1"
            " && ip link set v0 up && ip link set v1 up && ip addr add 198.51.100.5/24 dev v0"
            " && ip addr add 198.51.100.6/24 dev v0 && ip addr add 2001:db8:1::5/64 dev v0 nodad"
            " && ip route add local 203.0.114.0/24 dev lo && ip route add default via 198.51.100.9"
            " && ip -6 route add local 2001:db8:2::/64 dev lo"
            " && ip -6 route add default via 2001:db8:1::9")
        != 0)
        _exit(77);
    /* the first address of a subnet is then all that can be told for certain */
    if (nonlocal_bind && system("echo 1 >/proc/sys/net/ipv4/ip_nonlocal_bind") != 0)
        _exit(77);
    for (i = 0; i < COUNT(local); i++)
        if (addr_from_ip(&a, local[i], 80) && !sock_is_local(&a) && !(nonlocal_bind && i == 1))
            _exit(1);
    for (i = 0; i < COUNT(remote); i++)
        if (addr_from_ip(&a, remote[i], 80) && sock_is_local(&a))
            _exit(2);
    _exit(0);
}

static void this_machines_addresses_are_distinguished_from_others(void **state)
{
    int nonlocal_bind, status;
    pid_t pid;

    (void)state;
    for (nonlocal_bind = 0; nonlocal_bind < 2; nonlocal_bind++) {
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            if (unshare(CLONE_NEWNET) != 0)
                _exit(77);
            check_local_addresses(nonlocal_bind);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
            skip(); /* no network name spaces here */
        assert_int_equal(status, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sockets_neither_block_nor_leak_into_children),
        cmocka_unit_test(keepalive_stays_in_what_the_kernel_takes),
        cmocka_unit_test(keepalive_off_is_off),
        cmocka_unit_test(keepalive_that_was_on_goes_off),
        cmocka_unit_test(a_reset_is_seen_as_one),
        cmocka_unit_test(bytes_that_the_peer_has_not_taken_are_counted),
        cmocka_unit_test(urgent_data_travels_in_line),
        cmocka_unit_test(an_error_is_taken_once),
        cmocka_unit_test(a_peer_that_answers_but_does_not_read_is_not_silent),
        cmocka_unit_test(bytes_that_can_be_read_are_counted),
        cmocka_unit_test(shortage_is_distinguished_from_other_errors),
        cmocka_unit_test(this_machines_addresses_are_distinguished_from_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
