/*
 * The clients of the benchmark: connections to a proxy in plaintext, which speak to upstream.c
 * behind it; and one to upstream.c itself in TLS, to compare with.
 *
 *     client
 *
 * reads commands from its standard input, a line each, and answers each with a line: what was asked
 * for, or "error" and a reason.
 *
 *     port N                          where the proxy is
 *     open N                          more connections, each of which gets one byte echoed
 *     ask KIND SIZE COUNT OVER AT_ONCE  COUNT requests (upstream.c) over the first OVER connections
 *                                     in turn, so many of them at once
 *     visit COUNT AT_ONCE             COUNT connections that have one byte echoed and close
 *     pingpong COUNT                  COUNT echoes of 100 bytes, one after the other
 *     direct N COUNT                  the same in TLS to a server at port N
 *     shake N COUNT                   COUNT visits in TLS to a server at port N, one after the other
 *     close                           all connections
 *
 * "pingpong" and "direct" answer "P50 P99 MAX" in microseconds, "shake" the CPU time of a visit in
 * milliseconds, the others "SECONDS".
 */
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_SIZE 16
#define CHUNK_SIZE (1 << 20)
#define PING_SIZE 100
#define MOST 20000    /* connections */
#define PATIENCE_S 60 /* for the next event, then it has failed */
#define EVENTS 64

/* A connection and the exchange that it is busy with. */
struct flow {
    int fd;
    char request[REQUEST_SIZE + 1];
    uint64_t sent; /* of the request and what follows it */
    uint64_t to_send;
    uint64_t to_receive;
    bool waits_to_send; /* as epoll knows it */
    bool visits;        /* closes when it has its answer */
};

static struct flow flows[MOST];
static size_t open_count;
static struct sockaddr_in proxy = {.sin_family = AF_INET};
static int poller;
static char zeros[CHUNK_SIZE], sink[CHUNK_SIZE];
static char complaint[256];

static bool fail(const char *what)
{
    snprintf(complaint, sizeof(complaint), "%s: %s", what, strerror(errno));
    return false;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t smaller(uint64_t a, size_t b)
{
    return a < b ? (size_t)a : b;
}

/* Exchanges, many at a time. */

static bool watch(struct flow *f, int operation, bool sends)
{
    struct epoll_event e = {.events = EPOLLIN | (sends ? EPOLLOUT : 0), .data.ptr = f};

    f->waits_to_send = sends;
    return epoll_ctl(poller, operation, f->fd, &e) == 0 || fail("epoll_ctl");
}

static bool connect_flow(struct flow *f)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    const int on = 1;

    f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (f->fd < 0)
        return fail("socket");
    (void)setsockopt(f->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(f->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    (void)setsockopt(f->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (connect(f->fd, (struct sockaddr *)&proxy, sizeof(proxy)) == 0)
        return watch(f, EPOLL_CTL_ADD, false);
    close(f->fd);
    return fail("connect");
}

static void set_request(struct flow *f, char kind, uint64_t size)
{
    snprintf(f->request, sizeof(f->request), "%c%015llu", kind, (unsigned long long)size);
    f->sent = 0;
    f->to_send = REQUEST_SIZE + (kind == 'd' ? 0 : size);
    f->to_receive = kind == 'u' ? 1 : size;
}

/* Sends what the socket takes. */
static bool send_more(struct flow *f)
{
    char head[REQUEST_SIZE + PING_SIZE] = "";
    ssize_t n;

    while (f->to_send > 0) {
        const char *from = zeros;
        size_t size = smaller(f->to_send, CHUNK_SIZE);

        if (f->sent < REQUEST_SIZE) {
            /* with what follows, if that is short: one segment, as a client would */
            memcpy(head, f->request, REQUEST_SIZE);
            from = head + f->sent;
            size = smaller(f->to_send, sizeof(head) - f->sent);
        }
        n = send(f->fd, from, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            return fail("send");
        f->sent += (size_t)n;
        f->to_send -= (size_t)n;
    }
    return f->waits_to_send == (f->to_send > 0) || watch(f, EPOLL_CTL_MOD, f->to_send > 0);
}

static bool receive_more(struct flow *f)
{
    /* tcp(7): MSG_TRUNC counts what it throws away and does not copy it */
    ssize_t n = recv(f->fd, sink, smaller(f->to_receive, CHUNK_SIZE), MSG_DONTWAIT | MSG_TRUNC);

    if (n < 0 && errno == EAGAIN)
        return true;
    if (n == 0)
        errno = ECONNRESET;
    if (n <= 0)
        return fail("receive");
    f->to_receive -= (size_t)n;
    return true;
}

/* Goes on with whatever can go on. Returns how many exchanges ended, in done[]; -1: failure. */
static int turn(struct flow *done[EVENTS])
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(poller, events, EVENTS, PATIENCE_S * 1000), i, ended = 0;

    if (n <= 0) {
        errno = n == 0 ? ETIMEDOUT : errno;
        (void)fail("nothing moves");
        return -1;
    }
    for (i = 0; i < n; i++) {
        struct flow *f = events[i].data.ptr;

        if (events[i].events & EPOLLOUT && !send_more(f))
            return -1;
        if (events[i].events & ~(unsigned)EPOLLOUT && !receive_more(f))
            return -1;
        if (f->to_receive == 0 && f->to_send == 0)
            done[ended++] = f;
    }
    return ended;
}

static bool open_more(size_t count)
{
    const size_t at_once = 16, until = open_count + count;
    struct flow *done[EVENTS];
    size_t waiting = 0;
    int n;

    if (until > MOST)
        return fail("too many");
    while (open_count < until || waiting > 0) {
        while (open_count < until && waiting < at_once) {
            struct flow *f = &flows[open_count];

            if (!connect_flow(f))
                return false;
            open_count++;
            waiting++;
            set_request(f, 'e', 1);
            if (!send_more(f))
                return false;
        }
        n = turn(done);
        if (n < 0)
            return false;
        waiting -= (size_t)n;
    }
    return true;
}

static bool is_busy(const struct flow *f)
{
    return f->to_send > 0 || f->to_receive > 0;
}

static bool ask(char kind, uint64_t size, size_t count, size_t over, size_t at_once)
{
    struct flow *done[EVENTS];
    size_t started, waiting = 0, next;
    int n, i;

    if (over > open_count || over == 0 || at_once == 0) {
        errno = EINVAL;
        return fail("ask");
    }
    if (at_once > over)
        at_once = over;
    /* with as many at once as connections each goes on by itself; else they take turns */
    for (started = 0; started < at_once && started < count; started++, waiting++) {
        set_request(&flows[started], kind, size);
        if (!send_more(&flows[started]))
            return false;
    }
    next = started;
    while (waiting > 0) {
        n = turn(done);
        if (n < 0)
            return false;
        for (i = 0; i < n; i++) {
            if (started == count) {
                waiting--;
                continue;
            }
            while (is_busy(&flows[next % over]))
                next++;
            set_request(&flows[next % over], kind, size);
            if (!send_more(&flows[next++ % over]))
                return false;
            started++;
        }
    }
    return true;
}

static bool visit(size_t count, size_t at_once)
{
    static struct flow visitors[EVENTS];
    struct flow *done[EVENTS];
    size_t started = 0, waiting = 0, i;
    int n;

    if (at_once > EVENTS)
        at_once = EVENTS;
    for (i = 0; i < at_once; i++)
        done[i] = &visitors[i];
    n = (int)at_once;
    for (;;) {
        for (i = 0; i < (size_t)n && started < count; i++, started++, waiting++) {
            if (!connect_flow(done[i]))
                return false;
            set_request(done[i], 'e', 1);
            if (!send_more(done[i]))
                return false;
        }
        if (waiting == 0)
            return true;
        n = turn(done);
        if (n < 0)
            return false;
        for (i = 0; i < (size_t)n; i++, waiting--)
            close(done[i]->fd);
    }
}

static void close_all(void)
{
    while (open_count > 0)
        close(flows[--open_count].fd);
}

/* One echo after the other: what a request waits for. */

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static bool ping(int fd, SSL *ssl)
{
    char bytes[REQUEST_SIZE + PING_SIZE] = "";
    size_t got, n;

    snprintf(bytes, sizeof(bytes), "e%015d", PING_SIZE);
    if (ssl ? SSL_write_ex(ssl, bytes, sizeof(bytes), &n) != 1
            : send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL) != sizeof(bytes))
        return fail("send");
    for (got = 0; got < PING_SIZE; got += n) {
        if (ssl) {
            if (SSL_read_ex(ssl, sink, PING_SIZE - got, &n) != 1)
                return fail("SSL_read");
            continue;
        }
        ssize_t received = recv(fd, sink, PING_SIZE - got, 0);

        if (received <= 0)
            return fail("receive");
        n = (size_t)received;
    }
    return true;
}

static bool ping_often(int fd, SSL *ssl, size_t count)
{
    double *us = calloc(count, sizeof(*us));
    bool ok = us && count > 0;
    size_t i;

    for (i = 0; ok && i < count; i++) {
        const double start = now();

        ok = ping(fd, ssl);
        us[i] = (now() - start) * 1e6;
    }
    if (ok) {
        qsort(us, count, sizeof(*us), compare);
        printf("%.2f %.2f %.2f\n", us[count / 2], us[count * 99 / 100], us[count - 1]);
    }
    free(us);
    return ok;
}

static bool pingpong(size_t count)
{
    if (open_count == 0) {
        errno = ENOTCONN;
        return fail("pingpong");
    }
    return ping_often(flows[0].fd, NULL, count);
}

/* A TLS connection, or NULL. */
static SSL *connect_tls(SSL_CTX *ctx, uint16_t port)
{
    struct sockaddr_in server = proxy;
    SSL *ssl = SSL_new(ctx);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;

    server.sin_port = htons(port);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (ssl && fd >= 0 && connect(fd, (struct sockaddr *)&server, sizeof(server)) == 0
        && SSL_set_fd(ssl, fd) == 1 && SSL_connect(ssl) == 1)
        return ssl;
    (void)fail("TLS connection");
    SSL_free(ssl);
    if (fd >= 0)
        close(fd);
    return NULL;
}

static void close_tls(SSL *ssl)
{
    const int fd = SSL_get_fd(ssl);

    (void)SSL_shutdown(ssl);
    SSL_free(ssl);
    close(fd);
}

static bool direct(uint16_t port, size_t count)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = ctx ? connect_tls(ctx, port) : NULL;
    const bool ok = ssl && ping_often(SSL_get_fd(ssl), ssl, count);

    if (ssl)
        close_tls(ssl);
    SSL_CTX_free(ctx);
    return ok;
}

static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* What a handshake costs a client that does nothing else. */
static bool shake(uint16_t port, size_t count)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    const double before = cpu_seconds();
    bool ok = ctx && count > 0;
    size_t i;

    for (i = 0; ok && i < count; i++) {
        SSL *ssl = connect_tls(ctx, port);

        ok = ssl && ping(SSL_get_fd(ssl), ssl);
        if (ssl)
            close_tls(ssl);
    }
    if (ok)
        printf("%.4f\n", (cpu_seconds() - before) * 1000 / (double)count);
    SSL_CTX_free(ctx);
    return ok;
}

/* Says how long it took, or what failed. */
static void answer(bool ok, double start)
{
    if (ok)
        printf("%.6f\n", now() - start);
    else
        printf("error %s\n", complaint);
}

static void obey(const char *line)
{
    unsigned long long size;
    size_t count, over, at_once;
    unsigned port;
    double start = now();
    char kind;

    if (sscanf(line, "port %u", &port) == 1) {
        proxy.sin_port = htons((uint16_t)port);
        answer(true, start);
    } else if (sscanf(line, "open %zu", &count) == 1) {
        answer(open_more(count), start);
    } else if (sscanf(line, "ask %c %llu %zu %zu %zu", &kind, &size, &count, &over, &at_once)
               == 5) {
        answer(ask(kind, size, count, over, at_once), start);
    } else if (sscanf(line, "visit %zu %zu", &count, &at_once) == 2) {
        answer(visit(count, at_once), start);
    } else if (sscanf(line, "pingpong %zu", &count) == 1) {
        if (!pingpong(count))
            answer(false, start);
    } else if (sscanf(line, "direct %u %zu", &port, &count) == 2) {
        if (!direct((uint16_t)port, count))
            answer(false, start);
    } else if (sscanf(line, "shake %u %zu", &port, &count) == 2) {
        if (!shake((uint16_t)port, count))
            answer(false, start);
    } else if (strncmp(line, "close", 5) == 0) {
        close_all();
        answer(true, start);
    } else {
        printf("error no such command\n");
    }
    fflush(stdout);
}

int main(void)
{
    char line[128];

    signal(SIGPIPE, SIG_IGN);
    proxy.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0) {
        perror("client: epoll_create1");
        return 1;
    }
    while (fgets(line, sizeof(line), stdin))
        obey(line);
    return 0;
}
