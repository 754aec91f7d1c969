/*
 * The server behind the proxies: a thread per connection.
 *
 *     upstream CERT KEY CIPHERSUITE
 *
 * prints two ports on 127.0.0.1, of TLS 1.3 and of the same without TLS, and runs until its standard
 * input ends. For each line there it prints how many TLS connections it has had and how many of them
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
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_SIZE 16
#define CHUNK_SIZE (256 * 1024)
#define RECORD_OVERHEAD 22 /* RFC 8446, 5.2: header 5, content type 1, tag 16 */
#define WRITE_SIZE (CHUNK_SIZE + CHUNK_SIZE / SSL3_RT_MAX_PLAIN_LENGTH * RECORD_OVERHEAD)
#define BACKLOG 4096
#define STACK_SIZE (128 * 1024)

static SSL_CTX *ctx;
static char zeros[CHUNK_SIZE];
static atomic_uint had, resumed;

struct connection {
    int fd;
    SSL *ssl; /* NULL: without TLS */
};

static size_t smaller(uint64_t a, size_t b)
{
    return a < b ? (size_t)a : b;
}

static bool send_all(const struct connection *c, const char *data, size_t size)
{
    size_t n;

    /* SSL_write() fills the BIO above the socket; the flush is the system call */
    if (c->ssl)
        return SSL_write_ex(c->ssl, data, size, &n) == 1 && BIO_flush(SSL_get_wbio(c->ssl)) == 1;
    return send(c->fd, data, size, MSG_NOSIGNAL) == (ssize_t)size;
}

/* Up to size bytes, at least one. 0: the end, or a failure. */
static size_t receive(const struct connection *c, char *data, size_t size)
{
    ssize_t got;
    size_t n;

    if (c->ssl)
        return SSL_read_ex(c->ssl, data, size, &n) == 1 ? n : 0;
    got = recv(c->fd, data, size, 0);
    return got > 0 ? (size_t)got : 0;
}

static bool receive_all(const struct connection *c, char *data, size_t size)
{
    size_t n;

    for (; size > 0; data += n, size -= n) {
        n = receive(c, data, size);
        if (n == 0)
            return false;
    }
    return true;
}

static bool take(const struct connection *c, uint64_t left)
{
    char data[SSL3_RT_MAX_PLAIN_LENGTH];
    ssize_t n;

    for (; left > 0; left -= (uint64_t)n) {
        /* tcp(7): MSG_TRUNC counts what it throws away and does not copy it */
        n = c->ssl ? (ssize_t)receive(c, data, smaller(left, sizeof(data)))
                   : recv(c->fd, NULL, smaller(left, CHUNK_SIZE), MSG_TRUNC);
        if (n <= 0)
            return false;
    }
    return send_all(c, ".", 1);
}

static bool give(const struct connection *c, uint64_t left)
{
    size_t n;

    for (; left > 0; left -= n) {
        n = smaller(left, sizeof(zeros));
        if (!send_all(c, zeros, n))
            return false;
    }
    return true;
}

static bool echo(const struct connection *c, uint64_t left)
{
    char data[1024];
    size_t n;

    for (; left > 0; left -= n) {
        n = smaller(left, sizeof(data));
        if (!receive_all(c, data, n) || !send_all(c, data, n))
            return false;
    }
    return true;
}

static void answer_all(const struct connection *c)
{
    char request[REQUEST_SIZE + 1] = "";
    bool ok = true;

    while (ok && receive_all(c, request, REQUEST_SIZE)) {
        const uint64_t n = strtoull(request + 1, NULL, 10);

        ok = request[0] == 'd' ? give(c, n) : request[0] == 'u' ? take(c, n) : echo(c, n);
    }
}

static void serve_tls(int fd)
{
    BIO *buffer = BIO_new(BIO_f_buffer()), *below;
    SSL *ssl = SSL_new(ctx);
    struct connection c = {fd, ssl};

    if (!buffer || !ssl || !BIO_set_write_buffer_size(buffer, WRITE_SIZE) || !SSL_set_fd(ssl, fd))
        abort();
    if (SSL_accept(ssl) == 1) {
        atomic_fetch_add(&had, 1);
        atomic_fetch_add(&resumed, SSL_session_reused(ssl));
        below = SSL_get_wbio(ssl);
        BIO_up_ref(below);
        SSL_set0_wbio(ssl, BIO_push(buffer, below));
        buffer = NULL;
        answer_all(&c);
        if (SSL_get_shutdown(ssl) == SSL_RECEIVED_SHUTDOWN && SSL_shutdown(ssl) >= 0)
            (void)BIO_flush(SSL_get_wbio(ssl));
    }
    ERR_clear_error();
    SSL_free(ssl);
    BIO_free(buffer);
}

/* The descriptor, or its complement for one without TLS. */
static void *serve(void *arg)
{
    const int number = (int)(intptr_t)arg, fd = number < 0 ? ~number : number, on = 1;
    struct connection plain = {fd, NULL};

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (number < 0)
        answer_all(&plain);
    else
        serve_tls(fd);
    close(fd);
    return NULL;
}

/* So that it never outlives the benchmark. */
static void *wait_for_end(void *arg)
{
    char byte;

    while (read(STDIN_FILENO, &byte, 1) > 0) {
        printf("%u %u\n", atomic_load(&had), atomic_load(&resumed));
        fflush(stdout);
    }
    _exit(0);
    return arg;
}

static int listen_anywhere(uint16_t *port)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(sin);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&sin, size) != 0 || listen(fd, BACKLOG) != 0
        || getsockname(fd, (struct sockaddr *)&sin, &size) != 0) {
        perror("upstream: listen");
        exit(1);
    }
    *port = ntohs(sin.sin_port);
    return fd;
}

static void start(void *(*run)(void *), void *arg)
{
    pthread_attr_t detached;
    pthread_t thread;

    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&detached, STACK_SIZE);
    if (pthread_create(&thread, &detached, run, arg) != 0)
        abort();
    pthread_attr_destroy(&detached);
}

int main(int argc, char **argv)
{
    struct pollfd listeners[2] = {{.events = POLLIN}, {.events = POLLIN}};
    uint16_t ports[2];
    int i, fd;

    signal(SIGPIPE, SIG_IGN);
    ctx = SSL_CTX_new(TLS_server_method());
    if (argc != 4 || !ctx || !SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION)
        || !SSL_CTX_set_ciphersuites(ctx, argv[3])
        || SSL_CTX_use_certificate_chain_file(ctx, argv[1]) != 1
        || SSL_CTX_use_PrivateKey_file(ctx, argv[2], SSL_FILETYPE_PEM) != 1) {
        fputs("usage: upstream CERT KEY CIPHERSUITE\n", stderr);
        ERR_print_errors_fp(stderr);
        return 1;
    }
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_default_read_buffer_len(ctx, CHUNK_SIZE);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    for (i = 0; i < 2; i++)
        listeners[i].fd = listen_anywhere(&ports[i]);
    printf("%u %u\n", ports[0], ports[1]);
    fflush(stdout);
    start(wait_for_end, NULL);
    for (;;) {
        (void)poll(listeners, 2, -1);
        for (i = 0; i < 2; i++) {
            fd = listeners[i].revents ? accept4(listeners[i].fd, NULL, NULL, SOCK_CLOEXEC) : -1;
            if (fd >= 0)
                start(serve, (void *)(intptr_t)(i == 0 ? fd : ~fd));
        }
    }
}
