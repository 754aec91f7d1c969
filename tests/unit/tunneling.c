#include "tunneling.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "config/loader.h"
#include "help.h"

#define PATIENCE_MS 20000

struct cert tunneling_good, tunneling_bad;
const struct filter_ops *tunneling_filter;

static struct thread thread;

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void serve(struct tunneling_server *s, int fd)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    SSL *ssl = SSL_new(ctx);
    int n;

    SSL_use_certificate(ssl, s->cert->x509);
    SSL_use_PrivateKey(ssl, s->cert->key);
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1) {
        while (s->got_len < s->wanted
               && (n = SSL_read(ssl, s->got + s->got_len, (int)(sizeof(s->got) - s->got_len))) > 0)
            s->got_len += (size_t)n;
        if (s->got_len == s->wanted && SSL_write(ssl, "answer", 6) == 6)
            SSL_shutdown(ssl);
        while (SSL_read(ssl, &n, 1) > 0)
            ;
    }
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}

static void *run_server(void *arg)
{
    const struct timeval limit = {.tv_sec = PATIENCE_MS / 1000};
    struct tunneling_server *s = arg;
    int fd = accept(s->listener, NULL, NULL);

    if (fd < 0)
        return NULL; /* nobody came */
    s->accepted++;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    sem_wait(&s->go);
    serve(s, fd);
    close(fd);
    return NULL;
}

static int listen_somewhere(struct addr *at)
{
    socklen_t len = sizeof(at->in);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(addr_from_ip(at, "127.0.0.1", 0));
    assert_int_equal(bind(fd, &at->sa, at->len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, &at->sa, &len), 0);
    return fd;
}

static void start_server(struct tunneling_server *s, const struct cert *cert, size_t wanted)
{
    struct addr at;

    memset(s, 0, sizeof(*s));
    s->listener = listen_somewhere(&at);
    s->port = addr_port(&at);
    s->cert = cert;
    s->wanted = wanted;
    sem_init(&s->go, 0, 0);
    assert_int_equal(pthread_create(&s->thread, NULL, run_server, s), 0);
}

static void stop_server(struct tunneling_server *s)
{
    sem_post(&s->go);
    shutdown(s->listener, SHUT_RDWR); /* wakes a server to which nobody came */
    pthread_join(s->thread, NULL);
    close(s->listener);
    sem_destroy(&s->go);
}

static void on_opening(struct tunnel *t, void *owner)
{
    (void)t;
    ((struct tunneling *)owner)->opened = true;
}

static void on_ended(struct tunnel *t, enum reason reason, const char *detail, void *owner)
{
    (void)t;
    (void)detail;
    ((struct tunneling *)owner)->reason = reason;
}

static void on_freed(struct tunnel *t, void *owner)
{
    (void)t;
    ((struct tunneling *)owner)->freed = true;
}

static const struct tunnel_events events = {on_opening, on_ended, on_freed};

struct snapshot *tunneling_snapshot(const char *name, long host_port, uint16_t port,
                                    const struct snapshot *old)
{
    struct diag_list diags = {0};
    struct snapshot *s;
    char text[512];

    snprintf(text, sizeof(text), "[%s]\nport = %ld\naddress = 127.0.0.1:%u\npin = %s\n", name,
             host_port, port, certs_key_pin(&tunneling_good));
    s = snapshot_new(config_parse("test.conf", text, strlen(text), &diags), old, &diags);
    diag_print(&diags, stderr);
    assert_int_equal(diags.count, 0);
    return s;
}

static void make_client(struct tunneling *s)
{
    struct addr at;
    int listener = listen_somewhere(&at);

    s->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(s->client, &at.sa, at.len), 0);
    s->inner = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    assert_true(s->inner >= 0);
    close(listener);
}

struct tunneling *tunneling_start(const struct front_ops *front, bool routes,
                                  const struct cert *cert, size_t wanted)
{
    struct tunneling *s = test_calloc(1, sizeof(*s));
    struct stream client = {.kind = STREAM_TCP};

    start_server(&s->server, cert, wanted);
    s->reason = REASON_NONE;
    s->snapshot = tunneling_snapshot("a.example", 8443, s->server.port, NULL);
    s->snapshot->sections[0].filter = tunneling_filter;
    s->frontend = &s->snapshot->frontends[0];
    s->frontend->front = front;
    if (routes) {
        s->frontend->section = NULL;
        s->frontend->stats = stats_new();
    }
    make_client(s);
    client.fd = s->inner;
    stats_add(s->frontend->stats, STATS_TUNNELS, 1);
    assert_int_equal(thread_init(&thread), 0);
    s->tunnel = tunnel_start(&thread, snapshot_hold(s->snapshot), s->frontend, &client, &events, s);
    assert_non_null(s->tunnel);
    return s;
}

void tunneling_send(struct tunneling *s, const void *bytes, size_t n)
{
    assert_int_equal(send(s->client, bytes, n, MSG_NOSIGNAL), n);
}

static void receive(struct tunneling *s)
{
    ssize_t n;

    if (s->eof || s->error || s->client < 0)
        return;
    n = recv(s->client, s->got + s->got_len, sizeof(s->got) - s->got_len, MSG_DONTWAIT);
    if (n > 0)
        s->got_len += (size_t)n;
    else if (n == 0)
        s->eof = true;
    else if (errno != EAGAIN)
        s->error = errno;
}

bool tunneling_client_has_ended(const struct tunneling *s)
{
    return s->eof || s->error;
}

bool tunneling_is_freed(const struct tunneling *s)
{
    return s->freed;
}

bool tunneling_has_accepted(const struct tunneling *s)
{
    return s->server.accepted > 0;
}

void tunneling_run(struct tunneling *s)
{
    uv_run(&thread.loop, UV_RUN_NOWAIT);
    receive(s);
    usleep(500);
}

void tunneling_run_until(struct tunneling *s, bool (*reached)(const struct tunneling *))
{
    const int64_t limit = now_ms() + PATIENCE_MS;

    while (!reached(s)) {
        assert_true(now_ms() < limit);
        tunneling_run(s);
    }
}

void tunneling_run_a_little(struct tunneling *s)
{
    int i;

    for (i = 0; i < 40; i++)
        tunneling_run(s);
}

void tunneling_assert_got(const struct tunneling *s, const char *text)
{
    assert_int_equal(s->got_len, strlen(text));
    assert_memory_equal(s->got, text, strlen(text));
}

void tunneling_assert_server_got(const struct tunneling *s, const char *text)
{
    assert_int_equal(s->server.got_len, strlen(text));
    assert_memory_equal(s->server.got, text, strlen(text));
}

uint64_t tunneling_count(const struct stats *s)
{
    return stats_get(s, STATS_TUNNELS);
}

void tunneling_finish(struct tunneling *s)
{
    struct stats *own = s->frontend->section ? NULL : s->frontend->stats;

    if (s->client >= 0)
        close(s->client);
    tunneling_run_until(s, tunneling_is_freed);
    stop_server(&s->server);
    thread_close(&thread);
    uv_run(&thread.loop, UV_RUN_DEFAULT);
    thread_free(&thread);
    assert_int_equal(tunneling_count(s->frontend->stats), 0);
    assert_int_equal(tunneling_count(s->snapshot->sections[0].stats), 0);
    assert_int_equal(atomic_load(&s->snapshot->refs), 1);
    snapshot_release(s->snapshot);
    stats_release(own);
    test_free(s);
}

int tunneling_group_setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    log_setup(LOG_LEVEL_SILENT, LOG_FORMAT_TEXT);
    tunneling_good = certs_make(&(struct cert_order){.cn = "a.example"});
    tunneling_bad = certs_make(&(struct cert_order){.cn = "a.example"});
    return 0;
}
