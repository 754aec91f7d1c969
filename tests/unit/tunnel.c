/* proxy/tunnel, proxy/greeting, front/raw: what a client says first, and what it is answered. */
#include "proxy/tunnel.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "certs.h"
#include "config/loader.h"
#include "filter/filter.h"
#include "front/front.h"
#include "help.h"

#define PATIENCE_MS 20000
#define BULK ((size_t)150 * 1024)

static struct cert good, bad;
static struct thread thread;

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A TLS server in a thread of its own: takes one connection, reads, answers, closes in order. */
struct server {
    int listener;
    uint16_t port;
    const struct cert *cert;
    size_t wanted; /* bytes of plaintext to read before the answer */
    sem_t go;      /* the handshake begins when this is posted */
    pthread_t thread;
    _Atomic int accepted;
    uint8_t got[2 * BULK];
    _Atomic size_t got_len; /* stored after the bytes, which another thread then reads */
};

static void serve(struct server *s, int fd)
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
    struct server *s = arg;
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

static void start_server(struct server *s, const struct cert *cert, size_t wanted)
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

static void stop_server(struct server *s)
{
    sem_post(&s->go);
    shutdown(s->listener, SHUT_RDWR); /* wakes a server to which nobody came */
    pthread_join(s->thread, NULL);
    close(s->listener);
    sem_destroy(&s->go);
}

/* A front that wants "ABC". It answers "+ok", or "-" and the reason. */
struct knock {
    size_t seen;
};

static enum front_result knock_feed(void *state, const uint8_t *bytes, size_t n, size_t *used,
                                    struct front_target *target)
{
    struct knock *k = state;
    size_t i;

    for (i = 0; i < n; i++) {
        if (bytes[i] != (uint8_t) "ABC"[k->seen])
            return FRONT_BAD;
        if (++k->seen < 3)
            continue;
        *used = i + 1;
        strcpy(target->host, "A.Example.");
        target->port = 8443;
        return FRONT_READY;
    }
    return FRONT_MORE;
}

static size_t knock_reply(void *state, enum reason reason, uint8_t *out, size_t room)
{
    (void)state;
    return (size_t)snprintf((char *)out, room, "%c%s\n", reason == REASON_OK ? '+' : '-',
                            reason_name(reason));
}

static const struct front_ops knock = {"knock", sizeof(struct knock), knock_feed, knock_reply};

/*
 * A filter that answers each 'q' of the client with 'n', and makes the server's letters capitals,
 * until the client has sent 'd'. '!' must not pass.
 */
static enum filter_result quiz_run(void *state, struct filter_io *io)
{
    enum filter_result result = FILTER_MORE;
    char c;
    size_t i;

    (void)state;
    if (io->end)
        strbuf_add(io->way == FILTER_TO_SERVER ? io->to_server : io->to_client, ".");
    for (i = 0; i < io->in_len; i++) {
        c = (char)io->in[i];
        if (io->way == FILTER_TO_CLIENT) {
            c = (char)toupper((unsigned char)c);
            strbuf_add_bytes(io->to_client, &c, 1);
        } else if (c == '!') {
            return FILTER_FAILED;
        } else if (c == 'q' && result == FILTER_MORE) {
            strbuf_add(io->to_client, "n");
        } else {
            strbuf_add_bytes(io->to_server, &c, 1);
            result = c == 'd' ? FILTER_DONE : result;
        }
    }
    return result;
}

static const struct filter_ops quiz = {"quiz", 0, quiz_run};

static const struct filter_ops *filter_of_next; /* that start() gives to the section */

/* A tunnel under test, and the client's end of its connection. */
struct scene {
    struct server server;
    struct snapshot *snapshot;
    struct frontend *frontend;
    struct tunnel *tunnel;
    int client, inner; /* the client's descriptor, and the tunnel's */
    uint8_t got[2 * BULK];
    size_t got_len;
    int error; /* of recv(2); 0 with eof: the stream has ended in order */
    bool eof;
    enum reason reason;
    bool opened, freed;
};

static void on_opening(struct tunnel *t, void *owner)
{
    (void)t;
    ((struct scene *)owner)->opened = true;
}

static void on_ended(struct tunnel *t, enum reason reason, const char *detail, void *owner)
{
    (void)t;
    (void)detail;
    ((struct scene *)owner)->reason = reason;
}

static void on_freed(struct tunnel *t, void *owner)
{
    (void)t;
    ((struct scene *)owner)->freed = true;
}

static const struct tunnel_events events = {on_opening, on_ended, on_freed};

static struct snapshot *make_snapshot(const char *name, long host_port, uint16_t port,
                                      const struct snapshot *old)
{
    struct diag_list diags = {0};
    struct snapshot *s;
    char text[512];

    snprintf(text, sizeof(text), "[%s]\nport = %ld\naddress = 127.0.0.1:%u\npin = %s\n", name,
             host_port, port, certs_key_pin(&good));
    s = snapshot_new(config_parse("test.conf", text, strlen(text), &diags), old, &diags);
    diag_print(&diags, stderr);
    assert_int_equal(diags.count, 0);
    return s;
}

static void make_client(struct scene *s)
{
    struct addr at;
    int listener = listen_somewhere(&at);

    s->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(s->client, &at.sa, at.len), 0);
    s->inner = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    assert_true(s->inner >= 0);
    close(listener);
}

/* routes: the front end has no section, the client names it. */
static struct scene *start(const struct front_ops *front, bool routes, const struct cert *cert,
                           size_t wanted)
{
    struct scene *s = test_calloc(1, sizeof(*s));
    struct stream client = {.kind = STREAM_TCP};

    start_server(&s->server, cert, wanted);
    s->reason = REASON_NONE;
    s->snapshot = make_snapshot("a.example", 8443, s->server.port, NULL);
    s->snapshot->sections[0].filter = filter_of_next;
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

static void send_client(struct scene *s, const void *bytes, size_t n)
{
    assert_int_equal(send(s->client, bytes, n, MSG_NOSIGNAL), n);
}

static void receive(struct scene *s)
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

static bool client_has_ended(const struct scene *s)
{
    return s->eof || s->error;
}

static bool tunnel_is_freed(const struct scene *s)
{
    return s->freed;
}

static bool server_has_accepted(const struct scene *s)
{
    return s->server.accepted > 0;
}

static void pump(struct scene *s)
{
    uv_run(&thread.loop, UV_RUN_NOWAIT);
    receive(s);
    usleep(500);
}

static void pump_until(struct scene *s, bool (*reached)(const struct scene *))
{
    const int64_t limit = now_ms() + PATIENCE_MS;

    while (!reached(s)) {
        assert_true(now_ms() < limit);
        pump(s);
    }
}

/* Long enough for whatever would come too early. */
static void pump_a_little(struct scene *s)
{
    int i;

    for (i = 0; i < 40; i++)
        pump(s);
}

static void assert_got(const struct scene *s, const char *text)
{
    assert_int_equal(s->got_len, strlen(text));
    assert_memory_equal(s->got, text, strlen(text));
}

static void assert_server_got(const struct scene *s, const char *text)
{
    assert_int_equal(s->server.got_len, strlen(text));
    assert_memory_equal(s->server.got, text, strlen(text));
}

static uint64_t tunnels(const struct stats *s)
{
    return stats_get(s, STATS_TUNNELS);
}

/* Everything is closed and counted: what is left behind is found here or by a sanitizer. */
static void finish(struct scene *s)
{
    struct stats *own = s->frontend->section ? NULL : s->frontend->stats;

    if (s->client >= 0)
        close(s->client);
    pump_until(s, tunnel_is_freed);
    stop_server(&s->server);
    thread_close(&thread);
    uv_run(&thread.loop, UV_RUN_DEFAULT);
    thread_free(&thread);
    assert_int_equal(tunnels(s->frontend->stats), 0);
    assert_int_equal(tunnels(s->snapshot->sections[0].stats), 0);
    assert_int_equal(atomic_load(&s->snapshot->refs), 1);
    snapshot_release(s->snapshot);
    stats_release(own);
    test_free(s);
}

/* Nobody reads a raw client before its server is trusted: its bytes wait in the kernel. */
static void a_raw_client_is_not_read_before_its_server_is_trusted(void **state)
{
    struct scene *s = start(&front_raw, false, &good, 5);
    int unread = 0;

    (void)state;
    send_client(s, "hello", 5);
    pump_until(s, server_has_accepted);
    pump_a_little(s);
    assert_int_equal(ioctl(s->inner, FIONREAD, &unread), 0);
    assert_int_equal(unread, 5);
    assert_false(s->opened);
    sem_post(&s->server.go);
    pump_until(s, client_has_ended);
    assert_true(s->eof);
    assert_got(s, "answer");
    finish(s);
}

static void a_refused_raw_client_gets_a_reset_and_no_byte(void **state)
{
    struct scene *s = start(&front_raw, false, &bad, 5);

    (void)state;
    send_client(s, "hello", 5);
    sem_post(&s->server.go);
    pump_until(s, client_has_ended);
    assert_int_equal(s->error, ECONNRESET);
    assert_got(s, "");
    assert_int_equal(s->reason, REASON_PIN_MISMATCH);
    assert_server_got(s, "");
    finish(s);
}

static void success_is_reported_only_when_the_server_is_trusted(void **state)
{
    struct scene *s = start(&knock, false, &good, 4);

    (void)state;
    send_client(s, "A", 1);
    pump_a_little(s);
    send_client(s, "B", 1);
    pump_a_little(s);
    assert_int_equal(s->server.accepted, 0); /* the greeting is not complete */
    send_client(s, "C", 1);
    pump_until(s, server_has_accepted);
    pump_a_little(s);
    assert_false(s->opened);
    assert_got(s, "");
    sem_post(&s->server.go);
    send_client(s, "late", 4);
    pump_until(s, client_has_ended);
    assert_true(s->eof);
    assert_got(s, "+ok\nanswer");
    assert_server_got(s, "late");
    finish(s);
}

/* Wherever the greeting is cut, what is behind it is the first payload, once and in order. */
static void early_data_is_the_first_payload_once_and_in_order(void **state)
{
    static const char sent[] = "ABCearly", late[] = "late";
    size_t cut;

    (void)state;
    for (cut = 1; cut <= strlen(sent); cut++) {
        struct scene *s = start(&knock, false, &good, strlen("earlylate"));

        send_client(s, sent, cut);
        pump_a_little(s);
        send_client(s, sent + cut, strlen(sent) - cut);
        pump_until(s, server_has_accepted);
        send_client(s, late, strlen(late));
        pump_a_little(s);
        sem_post(&s->server.go);
        pump_until(s, client_has_ended);
        assert_got(s, "+ok\nanswer");
        assert_server_got(s, "earlylate");
        finish(s);
    }
}

static void much_early_data_arrives_whole(void **state)
{
    struct scene *s = start(&knock, false, &good, BULK);
    uint8_t *bytes = test_malloc(3 + BULK);
    size_t i, sent = 0;

    (void)state;
    memcpy(bytes, "ABC", 3);
    for (i = 0; i < BULK; i++)
        bytes[3 + i] = (uint8_t)(i * 7 + i / 256);
    sem_post(&s->server.go);
    while (sent < 3 + BULK) {
        ssize_t n = send(s->client, bytes + sent, 3 + BULK - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n > 0)
            sent += (size_t)n;
        else
            pump(s);
    }
    pump_until(s, client_has_ended);
    assert_got(s, "+ok\nanswer");
    assert_int_equal(s->server.got_len, BULK);
    assert_memory_equal(s->server.got, bytes + 3, BULK);
    test_free(bytes);
    finish(s);
}

static void early_data_never_reaches_a_server_that_is_not_trusted(void **state)
{
    struct scene *s = start(&knock, false, &bad, 5);

    (void)state;
    send_client(s, "ABCearly", 8);
    sem_post(&s->server.go);
    pump_until(s, client_has_ended);
    pump_until(s, tunnel_is_freed);
    assert_server_got(s, "");
    assert_false(s->opened);
    finish(s);
}

/* A reset would throw the answer away. */
static void a_refusal_is_answered_and_then_the_stream_ends_in_order(void **state)
{
    struct scene *s = start(&knock, false, &bad, 5);

    (void)state;
    send_client(s, "ABC", 3);
    sem_post(&s->server.go);
    pump_until(s, client_has_ended);
    assert_true(s->eof);
    assert_int_equal(s->error, 0);
    assert_got(s, "-pin_mismatch\n");
    assert_int_equal(s->reason, REASON_PIN_MISMATCH);
    finish(s);
}

static void a_bad_greeting_is_refused_without_a_connection(void **state)
{
    struct scene *s = start(&knock, false, &good, 5);

    (void)state;
    send_client(s, "AX", 2);
    pump_until(s, client_has_ended);
    assert_true(s->eof);
    assert_got(s, "-greeting\n");
    assert_int_equal(s->reason, REASON_GREETING);
    pump_until(s, tunnel_is_freed);
    assert_int_equal(s->server.accepted, 0);
    finish(s);
}

static void a_client_that_closes_in_its_greeting_ends_the_tunnel(void **state)
{
    struct scene *s = start(&knock, false, &good, 5);

    (void)state;
    send_client(s, "AB", 2);
    pump_a_little(s);
    close(s->client);
    s->client = -1;
    pump_until(s, tunnel_is_freed);
    assert_int_equal(s->reason, REASON_OK);
    assert_int_equal(s->server.accepted, 0);
    finish(s);
}

static void a_client_that_resets_in_its_greeting_ends_the_tunnel(void **state)
{
    const struct linger reset = {.l_onoff = 1};
    struct scene *s = start(&knock, false, &good, 5);

    (void)state;
    send_client(s, "AB", 2);
    pump_a_little(s);
    setsockopt(s->client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(s->client);
    s->client = -1;
    pump_until(s, tunnel_is_freed);
    assert_int_equal(s->reason, REASON_CLIENT_RESET);
    assert_int_equal(s->server.accepted, 0);
    finish(s);
}

static void a_killed_tunnel_ends_in_its_greeting(void **state)
{
    struct scene *s = start(&knock, false, &good, 5);

    (void)state;
    send_client(s, "AB", 2);
    pump_a_little(s);
    tunnel_kill(s->tunnel, REASON_DRAINED);
    pump_until(s, client_has_ended);
    assert_int_equal(s->error, ECONNRESET);
    assert_int_equal(s->reason, REASON_DRAINED);
    finish(s);
}

/* It is counted where it is: at its front end before the greeting, at its section after it. */
static void a_client_reaches_the_section_that_it_names(void **state)
{
    struct scene *s = start(&knock, true, &good, 5);
    const struct stats *section = s->snapshot->sections[0].stats;

    (void)state;
    pump_a_little(s);
    assert_int_equal(tunnels(s->frontend->stats), 1);
    assert_int_equal(tunnels(section), 0);
    send_client(s, "ABCearly", 8);
    pump_until(s, server_has_accepted);
    assert_int_equal(tunnels(s->frontend->stats), 0);
    assert_int_equal(tunnels(section), 1);
    sem_post(&s->server.go);
    pump_until(s, client_has_ended);
    assert_got(s, "+ok\nanswer");
    assert_server_got(s, "early");
    assert_int_equal(stats_get(section, STATS_SENT), 5);
    finish(s);
}

static void a_client_that_names_no_section_is_refused(void **state)
{
    struct snapshot *other = make_snapshot("a.example", 443, 9, NULL); /* another port */
    struct scene *s = start(&knock, true, &good, 5);

    (void)state;
    other->frontends[0] = *s->frontend;
    tunnel_apply(s->tunnel, other);
    send_client(s, "ABC", 3);
    pump_until(s, client_has_ended);
    assert_true(s->eof);
    assert_got(s, "-unknown_host\n");
    assert_int_equal(s->reason, REASON_UNKNOWN_HOST);
    assert_int_equal(s->server.accepted, 0);
    pump_until(s, tunnel_is_freed);
    snapshot_release(other);
    finish(s);
}

static void a_reload_in_the_greeting_decides_whom_the_client_reaches(void **state)
{
    struct scene *s = start(&knock, false, &good, 5);
    struct snapshot *now = make_snapshot("a.example", 8443, s->server.port, s->snapshot);
    struct snapshot *before = s->snapshot;

    (void)state;
    send_client(s, "AB", 2);
    pump_a_little(s);
    tunnel_apply(s->tunnel, now);
    assert_int_equal(atomic_load(&before->refs), 1); /* the tunnel has the new one */
    assert_int_equal(atomic_load(&now->refs), 2);
    send_client(s, "Cearly", 6);
    sem_post(&s->server.go);
    pump_until(s, client_has_ended);
    assert_got(s, "+ok\nanswer"); /* by the front that read its greeting */
    close(s->client);
    s->client = -1;
    pump_until(s, tunnel_is_freed);
    snapshot_release(now);
    finish(s);
}

static void a_reload_that_removes_the_section_refuses_the_client(void **state)
{
    static const char *const greetings[] = {"AB", "ABC"};
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(greetings); i++) {
        struct scene *s = start(&knock, false, &good, 5);
        struct snapshot *now = make_snapshot("b.example", 8443, s->server.port, s->snapshot);

        send_client(s, greetings[i], strlen(greetings[i]));
        if (i == 1)
            pump_until(s, server_has_accepted);
        else
            pump_a_little(s);
        tunnel_apply(s->tunnel, now);
        pump_until(s, client_has_ended);
        assert_true(s->eof);
        assert_got(s, "-pin_removed\n");
        assert_int_equal(s->reason, REASON_PIN_REMOVED);
        snapshot_release(now);
        finish(s);
    }
}

static struct scene *start_with_quiz(size_t wanted, const char *sent)
{
    struct scene *s;

    filter_of_next = &quiz;
    s = start(&front_raw, false, &good, wanted);
    filter_of_next = NULL;
    sem_post(&s->server.go);
    send_client(s, sent, strlen(sent));
    pump_until(s, client_has_ended);
    return s;
}

static void a_filter_rewrites_both_directions_and_sees_their_ends(void **state)
{
    struct scene *s = start_with_quiz(2, "qab");

    (void)state;
    assert_true(s->eof);
    assert_got(s, "nANSWER.");
    assert_server_got(s, "ab");
    finish(s);
}

static void a_filter_that_is_done_lets_everything_pass(void **state)
{
    struct scene *s = start_with_quiz(2, "qdq");

    (void)state;
    assert_true(s->eof);
    assert_got(s, "nanswer");
    assert_server_got(s, "dq");
    finish(s);
}

static void a_filter_that_fails_ends_the_tunnel_and_passes_nothing(void **state)
{
    struct scene *s = start_with_quiz(2, "a!");

    (void)state;
    assert_int_equal(s->error, ECONNRESET);
    assert_int_equal(s->reason, REASON_GREETING);
    assert_got(s, "");
    assert_server_got(s, "");
    finish(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_raw_client_is_not_read_before_its_server_is_trusted),
        cmocka_unit_test(a_refused_raw_client_gets_a_reset_and_no_byte),
        cmocka_unit_test(success_is_reported_only_when_the_server_is_trusted),
        cmocka_unit_test(early_data_is_the_first_payload_once_and_in_order),
        cmocka_unit_test(much_early_data_arrives_whole),
        cmocka_unit_test(early_data_never_reaches_a_server_that_is_not_trusted),
        cmocka_unit_test(a_refusal_is_answered_and_then_the_stream_ends_in_order),
        cmocka_unit_test(a_bad_greeting_is_refused_without_a_connection),
        cmocka_unit_test(a_client_that_closes_in_its_greeting_ends_the_tunnel),
        cmocka_unit_test(a_client_that_resets_in_its_greeting_ends_the_tunnel),
        cmocka_unit_test(a_killed_tunnel_ends_in_its_greeting),
        cmocka_unit_test(a_client_reaches_the_section_that_it_names),
        cmocka_unit_test(a_client_that_names_no_section_is_refused),
        cmocka_unit_test(a_reload_in_the_greeting_decides_whom_the_client_reaches),
        cmocka_unit_test(a_reload_that_removes_the_section_refuses_the_client),
        cmocka_unit_test(a_filter_rewrites_both_directions_and_sees_their_ends),
        cmocka_unit_test(a_filter_that_is_done_lets_everything_pass),
        cmocka_unit_test(a_filter_that_fails_ends_the_tunnel_and_passes_nothing),
    };

    signal(SIGPIPE, SIG_IGN);
    log_setup(LOG_LEVEL_SILENT, LOG_FORMAT_TEXT);
    good = certs_make(&(struct cert_order){.cn = "a.example"});
    bad = certs_make(&(struct cert_order){.cn = "a.example"});
    return cmocka_run_group_tests(tests, NULL, NULL);
}
