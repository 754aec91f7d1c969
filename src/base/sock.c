#include "base/sock.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <unistd.h>

int sock_open(int family)
{
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static void set(int fd, int level, int option, int value)
{
    (void)setsockopt(fd, level, option, &value, sizeof(value));
}

void sock_tune(int fd, int family, int64_t keepalive_ms)
{
    int seconds = (int)((keepalive_ms + 999) / 1000);

    if (family != AF_INET && family != AF_INET6)
        return;
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    /* said in both cases: a listener may have had it on, and what it accepts inherits it */
    set(fd, SOL_SOCKET, SO_KEEPALIVE, seconds != 0);
    if (seconds == 0)
        return;
    /* tcp(7): the kernel takes 1 to 32767 */
    if (seconds > 32767)
        seconds = 32767;
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds > 40 ? 10 : (seconds + 3) / 4);
    set(fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
}

bool sock_is_local(const struct addr *a)
{
    struct addr local = {0};
    socklen_t len = sizeof(local) - offsetof(struct addr, sa);
    bool is_local = false;
    int fd;

    if (addr_is_loopback(a))
        return true;
    fd = socket(a->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    /* nothing is sent; to an address of this machine the kernel talks from that address. bind(2)
       would not tell: with net.ipv4.ip_nonlocal_bind it takes every address */
    if (connect(fd, &a->sa, a->len) == 0 && getsockname(fd, &local.sa, &len) == 0) {
        local.len = len;
        addr_set_port(&local, addr_port(a));
        is_local = addr_equal(&local, a);
    }
    close(fd);
    return is_local;
}

void sock_share_port(int fd, bool share)
{
    set(fd, SOL_SOCKET, SO_REUSEPORT, share);
}

void sock_seal_port(uint16_t port)
{
    /* a bind(2) without SO_REUSEPORT resets the memory. Of addresses for documentation (RFC 5737,
       RFC 3849) one is free, even where a wildcard listener has taken the other family */
    static const char *const addresses[] = {"192.0.2.1", "2001:db8::1"};
    struct addr a;
    size_t i;
    int fd;

    for (i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        if (!addr_from_ip(&a, addresses[i], port) || (fd = sock_open(a.sa.sa_family)) < 0)
            continue;
        set(fd, IPPROTO_IP, IP_FREEBIND, 1);
        if (a.sa.sa_family == AF_INET6) {
            set(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1);
            set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
        }
        (void)bind(fd, &a.sa, a.len);
        close(fd);
    }
}

int sock_unsent(int fd)
{
    int n = 0;

    return ioctl(fd, SIOCOUTQ, &n) == 0 ? n : 0;
}

void sock_close_reset(int fd)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};

    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(fd);
}

bool sock_error_is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}
