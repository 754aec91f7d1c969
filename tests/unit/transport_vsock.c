/*
 * net/transport_vsock: the port of the virtual machine is connected to. Few kernels have
 * vsock_loopback, so socket(2) and connect(2) of this program make a TCP connection to the same port
 * of 127.0.0.1, for CID 1 alone.
 */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "dialing.h"

static int tried;     /* connects over vsock */
static bool no_files; /* socket(2) fails */

int socket(int family, int type, int protocol)
{
    static int (*real)(int, int, int);

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "socket");
    if (no_files && family == AF_VSOCK) {
        errno = EMFILE;
        return -1;
    }
    return real(family == AF_VSOCK ? AF_INET : family, type, protocol);
}

int connect(int fd, const struct sockaddr *sa, socklen_t len)
{
    static int (*real)(int, const struct sockaddr *, socklen_t);
    const struct sockaddr_vm *vm = (const struct sockaddr_vm *)sa;
    struct addr to;

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "connect");
    if (sa->sa_family != AF_VSOCK)
        return real(fd, sa, len);
    tried++;
    assert_int_equal(len, sizeof(*vm));
    if (vm->svm_cid != VMADDR_CID_LOCAL) {
        errno = ENODEV;
        return -1;
    }
    assert_true(addr_from_ip(&to, "127.0.0.1", (uint16_t)vm->svm_port));
    return real(fd, &to.sa, to.len);
}

static void start(uint32_t cid, uint32_t port)
{
    struct dialing *c = dialing_new("vm.test", 443);

    tried = 0;
    c->section->via = (struct config_via){.scheme = VIA_VSOCK, .cid = cid, .vsock_port = port};
    dialing_start_over(c, &transport_vsock);
    dialing_finish();
    assert_int_equal(tried, !no_files);
}

static void the_owner_gets_the_connected_stream(void **state)
{
    char text[ADDR_TEXT_SIZE];
    uint16_t port;
    int listener, fd;

    (void)state;
    listener = dialing_listen("127.0.0.1", &port);
    start(VMADDR_CID_LOCAL, port);
    if (dialing_result.fd < 0)
        fail_msg("%s", dialing_result.detail);
    assert_int_equal(dialing_result.kind, STREAM_SOCKET);
    assert_contains(addr_format(&dialing_result.peer, text), "vsock:1:");
    assert_true(fcntl(dialing_result.fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(dialing_result.fd, F_GETFD) & FD_CLOEXEC);
    fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    close(fd);
    close(dialing_result.fd);
    close(listener);
}

static void a_failure_says_what_was_refused(void **state)
{
    char text[64];
    uint16_t port;
    const int fd = dialing_refuse("127.0.0.1", &port);

    (void)state;
    start(VMADDR_CID_LOCAL, port);
    snprintf(text, sizeof(text), "vsock:1:%u: Connection refused", port);
    dialing_assert_failed(REASON_CONNECT, text);
    start(7, 443);
    dialing_assert_failed(REASON_CONNECT, "vsock:7:443: no virtual machine of that CID");
    close(fd);
}

static void a_shortage_of_descriptors_is_reported_as_one(void **state)
{
    (void)state;
    no_files = true;
    start(VMADDR_CID_LOCAL, 443);
    no_files = false;
    dialing_assert_failed(REASON_FILES, strerror(EMFILE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DIALING_TEST(the_owner_gets_the_connected_stream),
        DIALING_TEST(a_failure_says_what_was_refused),
        DIALING_TEST(a_shortage_of_descriptors_is_reported_as_one),
    };

    return cmocka_run_group_tests(tests, dialing_group_setup, NULL);
}
