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
