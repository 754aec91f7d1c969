/*
 * How long a client waits for its first answer: from connect(2) to the end of an echo of 100 bytes
 * by upstream.c, with a new connection each time.
 *
 *     first plain PORT COUNT PAUSE_US     through a proxy
 *     first tls PORT COUNT PAUSE_US       the same client, which speaks TLS itself
 *
 * prints "P50 P99 MAX" in microseconds. There is a pause before each connection. The client that
 * speaks TLS does not verify the server, as the proxies do.
 */
#include <openssl/ssl.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_SIZE 16 /* of the head of a request, see upstream.c */
#define PING_SIZE 100
#define PATIENCE_S 60

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static int connect_to(unsigned port)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    const int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0 ? fd : -1;
}

/* Has 100 bytes echoed. */
static bool ping(int fd, SSL *ssl)
{
    char bytes[REQUEST_SIZE + PING_SIZE] = "";
    size_t got = 0;

    snprintf(bytes, sizeof(bytes), "e%015d", PING_SIZE);
    if (ssl ? SSL_write(ssl, bytes, sizeof(bytes)) <= 0
            : send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL) != sizeof(bytes))
        return false;
    while (got < PING_SIZE) {
        const long n = ssl ? SSL_read(ssl, bytes, (int)(PING_SIZE - got))
                           : recv(fd, bytes, PING_SIZE - got, 0);

        if (n <= 0)
            return false;
        got += (size_t)n;
    }
    return true;
}

/* Returns the seconds until the first answer, or a negative number. ctx NULL: in plaintext. */
static double visit(SSL_CTX *ctx, unsigned port)
{
    const double start = now();
    const int fd = connect_to(port);
    SSL *ssl = ctx ? SSL_new(ctx) : NULL;
    double seconds = -1;

    if (fd >= 0 && (!ssl || (SSL_set_fd(ssl, fd) == 1 && SSL_connect(ssl) == 1)) && ping(fd, ssl))
        seconds = now() - start;
    if (ssl && seconds >= 0)
        (void)SSL_shutdown(ssl);
    SSL_free(ssl);
    close(fd);
    return seconds;
}

int main(int argc, char **argv)
{
    SSL_CTX *ctx = argc == 5 && strcmp(argv[1], "tls") == 0 ? SSL_CTX_new(TLS_client_method())
                                                            : NULL;
    const size_t count = argc == 5 ? strtoul(argv[3], NULL, 10) : 0;
    double *us = calloc(count + 1, sizeof(*us));
    size_t i;

    if (count == 0 || !us) {
        fprintf(stderr, "first plain|tls PORT COUNT PAUSE_US\n");
        return 2;
    }
    for (i = 0; i < count; i++) {
        usleep((useconds_t)strtoul(argv[4], NULL, 10));
        us[i] = visit(ctx, (unsigned)strtoul(argv[2], NULL, 10)) * 1e6;
        if (us[i] < 0) {
            perror("first");
            return 1;
        }
    }
    qsort(us, count, sizeof(*us), compare);
    printf("%.2f %.2f %.2f\n", us[count / 2], us[count * 99 / 100], us[count - 1]);
    free(us);
    SSL_CTX_free(ctx);
    return 0;
}
