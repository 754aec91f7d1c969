/*
 * The server behind the proxies: one thread, one loop.
 *
 *     upstream CERT KEY CIPHERSUITE PATH
 *
 * prints two ports on 127.0.0.1, of TLS 1.3 and of the same without TLS, and runs until its standard
 * input ends. It also speaks TLS on a Unix socket at PATH. A program passes its standard input to it,
 * over another one at PATH.exec:
 *
 *     upstream pass PATH.exec
 *
 * passes it and ends with that connection. For each line there it prints how many TLS connections it has had and how many of them
 * were resumed. A client sends requests of 16 bytes, a letter and a decimal number N, one after the
 * other:
 *
 *     d  it gets N bytes
 *     u  it sends N bytes, and gets one when they have arrived
 *     e  it sends N bytes, and gets them back
 *
 * To be cheaper than what it measures, it moves up to 256 KiB with one system call, where most
 * programs take one call for each record of 16 KiB.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
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
#include <sys/un.h>
#include <unistd.h>

#define REQUEST_SIZE 16
#define CHUNK_SIZE (256 * 1024)
#define RECORD_OVERHEAD 22 /* RFC 8446, 5.2: header 5, content type 1, tag 16 */
#define WRITE_SIZE (CHUNK_SIZE + CHUNK_SIZE / SSL3_RT_MAX_PLAIN_LENGTH * RECORD_OVERHEAD)
#define BACKLOG 4096
#define EVENTS 256

/* What has an event: a listener, the standard input, or a connection. */
struct source {
    int fd;
    void (*ready)(struct source *, unsigned events);
};

struct connection {
    struct source source;
    SSL *ssl; /* NULL: without TLS */
    bool accepted;
    char request[REQUEST_SIZE + 1];
    size_t have;   /* of the request */
    uint64_t left; /* bytes that the request still moves */
    bool stuck;    /* the socket took no more: what was written waits, and no more is read */
};

static SSL_CTX *ctx;
static int poller;
static unsigned had, resumed;
static char zeros[CHUNK_SIZE], bytes[CHUNK_SIZE];

static size_t smaller(uint64_t a, size_t b)
{
    return a < b ? (size_t)a : b;
}

static void watch(struct source *s, int operation, unsigned events)
{
    struct epoll_event e = {.events = events, .data.ptr = s};

    if (epoll_ctl(poller, operation, s->fd, &e) != 0)
        abort();
}

static void end(struct connection *c)
{
    if (c->ssl) {
        if (SSL_get_shutdown(c->ssl) == SSL_RECEIVED_SHUTDOWN && SSL_shutdown(c->ssl) >= 0)
            (void)BIO_flush(SSL_get_wbio(c->ssl));
        ERR_clear_error();
        SSL_free(c->ssl);
    }
    close(c->source.fd);
    free(c);
}

static void set_stuck(struct connection *c, bool stuck)
{
    if (c->stuck != stuck)
        watch(&c->source, EPOLL_CTL_MOD, stuck ? EPOLLOUT : EPOLLIN);
    c->stuck = stuck;
}

/* Sends what SSL_write() has left in the BIO above the socket. False: the connection is broken. */
static bool flush(struct connection *c)
{
    BIO *bio = SSL_get_wbio(c->ssl);
    const bool done = BIO_flush(bio) == 1;

    if (!done && !BIO_should_retry(bio))
        return false;
    set_stuck(c, !done);
    return true;
}

/* Writes at most CHUNK_SIZE and returns how much was taken; -1: the connection is broken. */
static ssize_t put(struct connection *c, const char *data, size_t size)
{
    ssize_t sent;
    size_t n;

    if (c->ssl)
        return SSL_write_ex(c->ssl, data, size, &n) == 1 && flush(c) ? (ssize_t)n : -1;
    sent = send(c->source.fd, data, size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) {
        set_stuck(c, true);
        return 0;
    }
    if (sent >= 0)
        set_stuck(c, false);
    return sent;
}

/* Reads what there is. 0: nothing now; -1: the end. */
static ssize_t get(struct connection *c, char *data, size_t size)
{
    ssize_t got;
    size_t n;

    if (c->ssl) {
        if (SSL_read_ex(c->ssl, data, size, &n) == 1)
            return (ssize_t)n;
        return SSL_get_error(c->ssl, 0) == SSL_ERROR_WANT_READ ? 0 : -1;
    }
    got = recv(c->source.fd, data, size, 0);
    if (got < 0 && errno == EAGAIN)
        return 0;
    return got > 0 ? got : -1;
}

/* Goes on with a request that is there. False: the connection is broken, or it is its turn to wait. */
static bool answer(struct connection *c, bool *broken)
{
    ssize_t n;

    if (c->request[0] == 'd') {
        n = put(c, zeros, smaller(c->left, CHUNK_SIZE));
    } else {
        n = get(c, bytes, smaller(c->left, CHUNK_SIZE));
        if (n > 0 && c->request[0] == 'e' && put(c, bytes, (size_t)n) != n)
            n = -1;
        if (n > 0 && c->request[0] == 'u' && (uint64_t)n == c->left && put(c, ".", 1) != 1)
            n = -1;
    }
    *broken = n < 0;
    if (n <= 0)
        return false;
    c->left -= (uint64_t)n;
    /* one chunk, then the others have their turn: epoll(7) tells of what is left */
    return c->request[0] != 'd' && !c->stuck;
}

static bool shake(struct connection *c, bool *broken)
{
    const int ret = SSL_accept(c->ssl), error = SSL_get_error(c->ssl, ret);
    BIO *below, *buffer;

    if (ret != 1) {
        *broken = error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE;
        return false;
    }
    c->accepted = true;
    had++;
    resumed += (unsigned)SSL_session_reused(c->ssl);
    buffer = BIO_new(BIO_f_buffer());
    if (!buffer || !BIO_set_write_buffer_size(buffer, WRITE_SIZE))
        abort();
    below = SSL_get_wbio(c->ssl);
    BIO_up_ref(below);
    SSL_set0_wbio(c->ssl, BIO_push(buffer, below));
    return true;
}

/* Does what can be done now. */
static void go_on(struct source *s, unsigned events)
{
    struct connection *c = (struct connection *)s;
    bool broken = false, more = true;
    ssize_t n;

    (void)events;
    ERR_clear_error();
    if (c->stuck && c->ssl)
        broken = !flush(c);
    else
        set_stuck(c, false);
    while (!broken && more && !c->stuck) {
        if (c->ssl && !c->accepted) {
            more = shake(c, &broken);
        } else if (c->left > 0) {
            more = answer(c, &broken);
        } else {
            n = get(c, c->request + c->have, REQUEST_SIZE - c->have);
            broken = n < 0;
            more = n > 0;
            c->have += n > 0 ? (size_t)n : 0;
            if (c->have == REQUEST_SIZE) {
                c->left = strtoull(c->request + 1, NULL, 10);
                c->have = 0;
            }
        }
    }
    if (broken)
        end(c);
    else if (c->left > 0 && c->request[0] == 'd')
        set_stuck(c, true); /* the next chunk, when the others have had their turn */
}

/* Takes ownership of the descriptor. -1: there is none. */
static void open_connection(int fd, bool tls)
{
    struct connection *c = calloc(1, sizeof(*c));
    const int on = 1;

    if (!c)
        abort();
    c->source.fd = fd;
    c->source.ready = go_on;
    if (c->source.fd < 0) {
        free(c);
        return;
    }
    (void)setsockopt(c->source.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (tls) {
        c->ssl = SSL_new(ctx);
        if (!c->ssl || !SSL_set_fd(c->ssl, c->source.fd))
            abort();
    }
    watch(&c->source, EPOLL_CTL_ADD, EPOLLIN);
}

static void accept_tls(struct source *s, unsigned events)
{
    (void)events;
    open_connection(accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), true);
}

static void accept_plain(struct source *s, unsigned events)
{
    (void)events;
    open_connection(accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), false);
}

/* A message with room for one descriptor: unix(7), SCM_RIGHTS. */
struct message {
    struct msghdr header;
    struct iovec io;
    char byte;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
};

static struct msghdr *make_message(struct message *m)
{
    memset(m, 0, sizeof(*m));
    m->io = (struct iovec){&m->byte, 1};
    m->header = (struct msghdr){.msg_iov = &m->io,
                                .msg_iovlen = 1,
                                .msg_control = m->control,
                                .msg_controllen = sizeof(m->control)};
    return &m->header;
}

/* The program's own connection stays open, as long as the process lives: it is no part of this. */
static void accept_passed(struct source *s, unsigned events)
{
    const int program = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
    struct message m;
    struct cmsghdr *c;
    int fd = -1;

    (void)events;
    if (program < 0 || recvmsg(program, make_message(&m), MSG_CMSG_CLOEXEC) != 1)
        return;
    c = CMSG_FIRSTHDR(&m.header);
    if (c && c->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
    if (fd >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
        open_connection(fd, true);
}

static struct sockaddr_un unix_address(const char *path, const char *suffix)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    snprintf(un.sun_path, sizeof(un.sun_path), "%s%s", path, suffix);
    return un;
}

static int listen_at(const char *path, const char *suffix)
{
    const struct sockaddr_un un = unix_address(path, suffix);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    (void)unlink(un.sun_path);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&un, sizeof(un)) != 0
        || listen(fd, BACKLOG) != 0) {
        perror("upstream: listen");
        exit(1);
    }
    return fd;
}

/* Passes the standard input, and waits until this program is ended. */
static int pass(const char *path)
{
    const struct sockaddr_un un = unix_address(path, "");
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), input = STDIN_FILENO;
    struct message m;
    struct msghdr *header = make_message(&m);
    struct cmsghdr *c = CMSG_FIRSTHDR(header);

    *c = (struct cmsghdr){CMSG_LEN(sizeof(input)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(c), &input, sizeof(input));
    if (connect(fd, (const struct sockaddr *)&un, sizeof(un)) != 0 || sendmsg(fd, header, 0) != 1) {
        perror("upstream: pass");
        return 1;
    }
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    for (;;)
        pause();
}

/* So that it never outlives the benchmark. */
static void tell(struct source *s, unsigned events)
{
    char byte;

    (void)events;
    if (read(s->fd, &byte, 1) <= 0)
        exit(0);
    printf("%u %u\n", had, resumed);
    fflush(stdout);
}

static int listen_anywhere(uint16_t *port)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(sin);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&sin, size) != 0 || listen(fd, BACKLOG) != 0
        || getsockname(fd, (struct sockaddr *)&sin, &size) != 0) {
        perror("upstream: listen");
        exit(1);
    }
    *port = ntohs(sin.sin_port);
    return fd;
}

int main(int argc, char **argv)
{
    struct source input = {STDIN_FILENO, tell};
    struct source tls = {-1, accept_tls}, plain = {-1, accept_plain};
    struct source local = {-1, accept_tls}, passed = {-1, accept_passed};
    struct epoll_event events[EVENTS];
    uint16_t tls_port, plain_port;
    int n, i;

    if (argc == 3 && strcmp(argv[1], "pass") == 0)
        return pass(argv[2]);
    signal(SIGPIPE, SIG_IGN);
    ctx = SSL_CTX_new(TLS_server_method());
    if (argc != 5 || !ctx || !SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION)
        || !SSL_CTX_set_ciphersuites(ctx, argv[3])
        || SSL_CTX_use_certificate_chain_file(ctx, argv[1]) != 1
        || SSL_CTX_use_PrivateKey_file(ctx, argv[2], SSL_FILETYPE_PEM) != 1) {
        fputs("usage: upstream CERT KEY CIPHERSUITE PATH\n", stderr);
        ERR_print_errors_fp(stderr);
        return 1;
    }
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_default_read_buffer_len(ctx, CHUNK_SIZE);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    poller = epoll_create1(EPOLL_CLOEXEC);
    tls.fd = listen_anywhere(&tls_port);
    plain.fd = listen_anywhere(&plain_port);
    local.fd = listen_at(argv[4], "");
    passed.fd = listen_at(argv[4], ".exec");
    watch(&tls, EPOLL_CTL_ADD, EPOLLIN);
    watch(&plain, EPOLL_CTL_ADD, EPOLLIN);
    watch(&local, EPOLL_CTL_ADD, EPOLLIN);
    watch(&passed, EPOLL_CTL_ADD, EPOLLIN);
    watch(&input, EPOLL_CTL_ADD, EPOLLIN);
    printf("%u %u\n", tls_port, plain_port);
    fflush(stdout);
    for (;;) {
        n = epoll_wait(poller, events, EVENTS, -1);
        for (i = 0; i < n; i++) {
            struct source *s = events[i].data.ptr;

            s->ready(s, events[i].events);
        }
    }
}
