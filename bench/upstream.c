/*
 * The server behind the proxies: TLS 1.3 with AES-128-GCM, a thread per connection.
 *
 *     upstream CERT KEY
 *
 * prints its port on 127.0.0.1 and runs until its standard input ends. A client sends requests of
 * 16 bytes, a letter and a decimal number N, one after the other:
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
#include <pthread.h>
#include <signal.h>
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

static size_t smaller(uint64_t a, size_t b)
{
    return a < b ? (size_t)a : b;
}

/* SSL_write() fills the BIO above the socket; the flush is the system call. */
static bool send_all(SSL *ssl, const char *data, size_t size)
{
    size_t n;

    return SSL_write_ex(ssl, data, size, &n) == 1 && BIO_flush(SSL_get_wbio(ssl)) == 1;
}

static bool receive_all(SSL *ssl, char *data, size_t size)
{
    size_t n;

    for (; size > 0; data += n, size -= n)
        if (SSL_read_ex(ssl, data, size, &n) != 1)
            return false;
    return true;
}

static bool answer(SSL *ssl, char kind, uint64_t left)
{
    char data[SSL3_RT_MAX_PLAIN_LENGTH];
    size_t n;

    for (; left > 0; left -= n) {
        n = smaller(left, kind == 'd' ? sizeof(zeros) : sizeof(data));
        if (kind != 'd' && !receive_all(ssl, data, n))
            return false;
        if (kind != 'u' && !send_all(ssl, kind == 'd' ? zeros : data, n))
            return false;
    }
    return kind != 'u' || send_all(ssl, ".", 1);
}

static void *serve(void *arg)
{
    int fd = (int)(intptr_t)arg, on = 1;
    char request[REQUEST_SIZE + 1] = "";
    BIO *buffer = BIO_new(BIO_f_buffer());
    SSL *ssl = SSL_new(ctx);

    if (!buffer || !ssl || !BIO_set_write_buffer_size(buffer, WRITE_SIZE) || !SSL_set_fd(ssl, fd))
        abort();
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (SSL_accept(ssl) == 1) {
        BIO *below = SSL_get_wbio(ssl);

        BIO_up_ref(below);
        SSL_set0_wbio(ssl, BIO_push(buffer, below));
        buffer = NULL;
        while (receive_all(ssl, request, REQUEST_SIZE)
               && answer(ssl, request[0], strtoull(request + 1, NULL, 10)))
            ;
        if (SSL_get_shutdown(ssl) == SSL_RECEIVED_SHUTDOWN && SSL_shutdown(ssl) >= 0)
            (void)BIO_flush(SSL_get_wbio(ssl));
    }
    ERR_clear_error();
    SSL_free(ssl);
    BIO_free(buffer);
    close(fd);
    return NULL;
}

/* So that it never outlives the benchmark. */
static void *wait_for_end(void *arg)
{
    char byte;

    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    _exit(0);
    return arg;
}

static int listen_anywhere(void)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(sin);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&sin, size) != 0 || listen(fd, BACKLOG) != 0
        || getsockname(fd, (struct sockaddr *)&sin, &size) != 0) {
        perror("upstream: listen");
        exit(1);
    }
    printf("%d\n", ntohs(sin.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    pthread_attr_t detached;
    pthread_t thread;
    int listener, fd;

    signal(SIGPIPE, SIG_IGN);
    ctx = SSL_CTX_new(TLS_server_method());
    if (argc != 3 || !ctx || !SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION)
        || !SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256")
        || SSL_CTX_use_certificate_chain_file(ctx, argv[1]) != 1
        || SSL_CTX_use_PrivateKey_file(ctx, argv[2], SSL_FILETYPE_PEM) != 1) {
        fputs("usage: upstream CERT KEY\n", stderr);
        ERR_print_errors_fp(stderr);
        return 1;
    }
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_default_read_buffer_len(ctx, CHUNK_SIZE);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&detached, STACK_SIZE);
    listener = listen_anywhere();
    if (pthread_create(&thread, &detached, wait_for_end, NULL) != 0)
        return 1;
    for (;;) {
        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            usleep(1000);
        else if (pthread_create(&thread, &detached, serve, (void *)(intptr_t)fd) != 0)
            close(fd);
    }
}
