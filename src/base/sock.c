#include "base/sock.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h> /* glibc's struct tcp_info lacks the later fields */
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/util.h"

int sock_open(int family)
{
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static void set(int fd, int level, int option, int value)
{
    (void)setsockopt(fd, level, option, &value, sizeof(value));
}

/* Keepalive probes: the first after `idle` seconds of silence, then four more, `interval` apart. */
#define KEEPALIVE_PROBES 5

struct keepalive {
    int idle;
    int interval;
};

static struct keepalive keepalive_times(int64_t keepalive_ms)
{
    const int64_t seconds = (keepalive_ms + 999) / 1000;
    struct keepalive k;

    /* tcp(7): the kernel accepts 1 to 32767 */
    k.idle = seconds > 32767 ? 32767 : (int)seconds;
    k.interval = k.idle > 40 ? 10 : (k.idle + 3) / 4;
    return k;
}

void sock_tune(int fd, int family, int64_t keepalive_ms)
{
    const struct keepalive k = keepalive_times(keepalive_ms);

    if (family != AF_INET && family != AF_INET6)
        return;
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    sock_oob_inline(fd);
    /* also to disable it: an accepted socket inherits it from its listener */
    set(fd, SOL_SOCKET, SO_KEEPALIVE, k.idle != 0);
    if (k.idle == 0)
        return;
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, k.idle);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, k.interval);
    set(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
}

void sock_oob_inline(int fd)
{
    set(fd, SOL_SOCKET, SO_OOBINLINE, 1);
}

void sock_widen(int fd)
{
    set(fd, SOL_SOCKET, SO_SNDBUF, 1024 * 1024);
}

int64_t sock_keepalive_limit(int64_t keepalive_ms)
{
    const struct keepalive k = keepalive_times(keepalive_ms);

    return 1000 * ((int64_t)k.idle + (int64_t)KEEPALIVE_PROBES * k.interval);
}

bool sock_acks(int fd, struct sock_acks *out)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return false;
    out->pending = info.tcpi_unacked > 0 || info.tcpi_notsent_bytes > 0;
    out->last_ms = info.tcpi_last_ack_recv;
    /*
     * A window probe is unanswered until the kernel has reset the count of them. Data is unanswered
     * until it is acknowledged. But a peer that has closed its window drops retransmitted data, so
     * only its responses show that it is alive.
     */
    out->unanswered = info.tcpi_probes > 0;
    if (info.tcpi_unacked > 0)
        out->unanswered |= info.tcpi_snd_wnd > 0
                           || info.tcpi_last_data_sent < info.tcpi_last_ack_recv;
    return true;
}

int sock_take_error(int fd)
{
    int error = 0;
    socklen_t len = sizeof(error);

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : errno;
}

bool sock_is_self_connected(int fd)
{
    struct addr local = {0}, peer = {0};
    socklen_t local_len = sizeof(local) - offsetof(struct addr, sa), peer_len = local_len;

    if (getsockname(fd, &local.sa, &local_len) != 0 || getpeername(fd, &peer.sa, &peer_len) != 0)
        return false;
    local.len = local_len;
    peer.len = peer_len;
    return addr_equal(&local, &peer);
}

/* An address for documentation, which no machine has (RFC 5737, RFC 3849). */
static struct addr unassigned(int family, uint16_t port)
{
    struct addr a = {0};

    (void)addr_from_ip(&a, family == AF_INET ? "192.0.2.1" : "2001:db8::1", port);
    return a;
}

static bool can_bind(struct addr a)
{
    const int fd = socket(a.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool can;

    if (fd < 0)
        return false;
    addr_set_port(&a, 0);
    can = bind(fd, &a.sa, a.len) == 0;
    close(fd);
    return can;
}

/*
 * The kernel chooses most addresses of this machine as their own source. Sends nothing.
 */
static bool is_own_source(const struct addr *a)
{
    const int fd = socket(a->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct addr local = {0};
    socklen_t len = sizeof(local) - offsetof(struct addr, sa);
    bool is_own = false;

    if (fd < 0)
        return false;
    if (connect(fd, &a->sa, a->len) == 0 && getsockname(fd, &local.sa, &len) == 0) {
        local.len = len;
        addr_set_port(&local, addr_port(a));
        is_own = addr_equal(&local, a);
    }
    close(fd);
    return is_own;
}

/*
 * A prefix that "ip -6 route add local" gives to this machine has no address to bind, and no source
 * of its own, but a route through the loopback interface. (IPv4 accepts any destination there, and
 * takes an address of such a prefix as the source.)
 */
static bool is_routed_to_loopback(const struct addr *a)
{
    const int loopback = 1; /* LOOPBACK_IFINDEX in Linux, in every network namespace */
    int fd;
    bool is_routed;

    if (a->sa.sa_family != AF_INET6)
        return false;
    fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    is_routed = setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &loopback, sizeof(loopback)) == 0
                && connect(fd, &a->sa, a->len) == 0;
    close(fd);
    return is_routed;
}

bool sock_is_local(const struct addr *a)
{
    if (addr_is_loopback(a) || is_own_source(a) || is_routed_to_loopback(a))
        return true;
    /* with net.ipv4.ip_nonlocal_bind every address can be bound, which proves nothing */
    return can_bind(*a) && !can_bind(unassigned(a->sa.sa_family, 0));
}

void sock_share_port(int fd, bool share)
{
    set(fd, SOL_SOCKET, SO_REUSEPORT, share);
}

void sock_seal_port(uint16_t port)
{
    static const int families[] = {AF_INET, AF_INET6};
    struct addr a;
    size_t i;
    int fd;

    /*
     * If the kernel remembers a wildcard, a bind(2) of the same family changes nothing, but one of
     * the other family does.
     */
    for (i = 0; i < COUNT_OF(families); i++) {
        a = unassigned(families[i], port);
        fd = sock_open(families[i]);
        if (fd < 0)
            continue;
        sock_share_port(fd, true);
        set(fd, IPPROTO_IP, IP_FREEBIND, 1);
        if (families[i] == AF_INET6) {
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

int sock_unread(int fd)
{
    int n = 0;

    return ioctl(fd, SIOCINQ, &n) == 0 ? n : 0;
}

bool sock_has_unread(int fd)
{
    char byte;

    return sock_unread(fd) > 0 && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void sock_reset_on_close(int fd)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};

    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

void sock_close_reset(int fd)
{
    sock_reset_on_close(fd);
    close(fd);
}

bool sock_error_is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}
