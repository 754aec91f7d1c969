/*
 * The upper bound: a relay without TLS, which does nothing but move bytes from socket to socket, up
 * to 256 KiB with a system call.
 *
 *     relay PORT UPSTREAM-PORT
 *
 * on 127.0.0.1. What a socket does not take at once it is waited for: one side at a time is enough
 * for the benchmark, whose clients either send or receive.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK_SIZE (256 * 1024)
#define BACKLOG 4096
#define EVENTS 256
#define PATIENCE_MS 60000

/* One direction's source, and the way back. */
struct side {
    int fd;
    struct side *other;
    bool ended;
};

static int poller;

static struct sockaddr_in loopback(const char *port)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    sin.sin_port = htons((uint16_t)atoi(port));
    return sin;
}

static bool watch(int fd, void *data)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = data};

    return epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e) == 0;
}

static void open_pair(int listener, const struct sockaddr_in *upstream)
{
    struct side *sides = calloc(2, sizeof(*sides));
    const int on = 1;
    int i;

    if (!sides)
        abort();
    sides[0].fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    sides[1].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sides[0].fd < 0 || connect(sides[1].fd, (const void *)upstream, sizeof(*upstream)) != 0) {
        perror("relay");
        exit(1);
    }
    for (i = 0; i < 2; i++) {
        (void)setsockopt(sides[i].fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        sides[i].other = &sides[1 - i];
        if (!watch(sides[i].fd, &sides[i]))
            abort();
    }
}

static bool send_all(int fd, const char *bytes, size_t n)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    while (n > 0) {
        ssize_t sent = send(fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent < 0 && errno == EAGAIN && poll(&p, 1, PATIENCE_MS) == 1)
            continue;
        if (sent < 0)
            return false;
        bytes += sent;
        n -= (size_t)sent;
    }
    return true;
}

static void move(struct side *from)
{
    static _Alignas(4096) char bytes[CHUNK_SIZE];
    ssize_t n = recv(from->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n > 0 && send_all(from->other->fd, bytes, (size_t)n))
        return;
    /* not freed: an event of the other side may be in this turn's list */
    (void)epoll_ctl(poller, EPOLL_CTL_DEL, from->fd, NULL);
    (void)shutdown(from->other->fd, SHUT_WR);
    from->ended = true;
    if (from->other->ended) {
        close(from->fd);
        close(from->other->fd);
    }
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS];
    struct sockaddr_in here, upstream;
    const int on = 1;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), n, i;

    if (argc != 3) {
        fputs("usage: relay PORT UPSTREAM-PORT\n", stderr);
        return 1;
    }
    here = loopback(argv[1]);
    upstream = loopback(argv[2]);
    poller = epoll_create1(EPOLL_CLOEXEC);
    (void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (poller < 0 || bind(listener, (void *)&here, sizeof(here)) != 0
        || listen(listener, BACKLOG) != 0 || !watch(listener, NULL)) {
        perror("relay");
        return 1;
    }
    for (;;) {
        n = epoll_wait(poller, events, EVENTS, -1);
        for (i = 0; i < n; i++) {
            if (!events[i].data.ptr)
                open_pair(listener, &upstream);
            else
                move(events[i].data.ptr);
        }
    }
}
