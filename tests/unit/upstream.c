/* proxy/upstream: dialogs run before TLS, and nothing that came before TLS counts after it. */
#include "proxy/upstream.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sock.h"
#include "base/util.h"
#include "certs.h"
#include "config/loader.h"
#include "dialogs.h"
#include "help.h"

static struct cert cert, other;
static struct thread thread;

static const struct dialog_list no_dialogs;
static const struct dialog_list ask = {{&dialog_ask}, 1};
static const struct dialog_list greeting = {{&dialog_greeting}, 1};
static const struct dialog_list both = {{&dialog_ask, &dialog_greeting}, 2};

/* A server: a thread that serves one connection. What it finds wrong is the test's failure. */

struct server {
    int listener;
    uint16_t port;
    pthread_t thread;
    void (*serve)(struct server *s, int fd);
    char wrong[128];
};

/* A client that has closed is for the test to find. */
static void put(int fd, const char *text)
{
    (void)!write(fd, text, strlen(text));
}

static void put_slowly(int fd, const char *text)
{
    char byte[2] = {0};

    for (; *text; text++) {
        byte[0] = *text;
        put(fd, byte);
        usleep(2000);
    }
}

/* Reads this text, and no more. */
static void get(struct server *s, int fd, const char *text)
{
    char bytes[64] = {0};
    size_t n = 0;
    ssize_t got;

    while (n < strlen(text)) {
        got = read(fd, bytes + n, strlen(text) - n);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    if (strcmp(bytes, text) != 0)
        snprintf(s->wrong, sizeof(s->wrong), "'%s' came instead of '%s'", bytes, text);
}

/* Reads the end: no byte, and so no ClientHello, comes before it. */
static void get_end(struct server *s, int fd)
{
    char byte;

    if (read(fd, &byte, 1) > 0)
        snprintf(s->wrong, sizeof(s->wrong), "byte 0x%02x came instead of the end",
                 (unsigned char)byte);
}

/* Speaks TLS until the client closes, or refuses this server. */
static void speak_tls(struct server *s, int fd)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    SSL *ssl = SSL_new(ctx);
    char byte;

    (void)s;
    SSL_use_certificate(ssl, cert.x509);
    SSL_use_PrivateKey(ssl, cert.key);
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1)
        while (SSL_read(ssl, &byte, 1) > 0)
            ;
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}

static void *run_server(void *arg)
{
    struct server *s = arg;
    int fd = accept(s->listener, NULL, NULL);

    if (fd < 0) {
        snprintf(s->wrong, sizeof(s->wrong), "accept: %s", strerror(errno));
        return NULL;
    }
    s->serve(s, fd);
    close(fd);
    return NULL;
}

static void start_server(struct server *s, void (*serve)(struct server *s, int fd))
{
    struct addr at;
    socklen_t len = sizeof(at.in);

    *s = (struct server){.serve = serve, .listener = socket(AF_INET, SOCK_STREAM, 0)};
    assert_true(addr_from_ip(&at, "127.0.0.1", 0));
    assert_int_equal(bind(s->listener, &at.sa, at.len), 0);
    assert_int_equal(listen(s->listener, 1), 0);
    assert_int_equal(getsockname(s->listener, &at.sa, &len), 0);
    s->port = addr_port(&at);
    assert_int_equal(pthread_create(&s->thread, NULL, run_server, s), 0);
}

static void end_server(struct server *s)
{
    assert_int_equal(pthread_join(s->thread, NULL), 0);
    close(s->listener);
    if (*s->wrong)
        fail_msg("the server: %s", s->wrong);
}

/* A connection: what it came to, after which it ends itself. */

struct connection {
    struct upstream upstream;
    struct snapshot *snapshot;
    enum upstream_state state; /* READY or FAILED */
    enum reason reason;
    char detail[400];
    int closings;
};

static void on_step(struct upstream *u)
{
    struct connection *c = container_of(u, struct connection, upstream);

    c->state = u->state;
    c->reason = u->reason;
    snprintf(c->detail, sizeof(c->detail), "%s", u->detail ? u->detail : "");
    upstream_end(u);
}

static void on_closed(struct upstream *u)
{
    container_of(u, struct connection, upstream)->closings++;
}

static const struct upstream_events events = {on_step, on_closed};

/* A section whose server is this one, pinned, with further lines. */
static struct snapshot *make_snapshot(const struct server *s, const struct dialog_list *dialogs,
                                      const char *lines)
{
    struct diag_list diags = {0};
    struct snapshot *snapshot;
    char text[512];

    snprintf(text, sizeof(text),
             "[global]\nstate_dir = %s\n[a.example]\naddress = 127.0.0.1:%u\n%s", temp_dir(),
             s->port, lines);
    snapshot = snapshot_new(config_parse(temp_path("test.conf"), text, strlen(text), &diags), NULL,
                            &diags);
    diag_print(&diags, stderr);
    assert_int_equal(diags.count, 0);
    snapshot_find(snapshot, "a.example")->dialogs = *dialogs;
    return snapshot;
}

static const char *pin(const struct cert *c, const char *lines)
{
    static char text[256];

    snprintf(text, sizeof(text), "pin = %s\n%s", certs_key_pin(c), lines);
    return text;
}

static void start(struct connection *c, const struct server *s, const struct dialog_list *dialogs,
                  enum upstream_use use, const char *lines)
{
    memset(c, 0, sizeof(*c));
    c->snapshot = make_snapshot(s, dialogs, lines);
    upstream_start(&c->upstream, &thread, snapshot_find(c->snapshot, "a.example"), use, &events);
    assert_int_equal(c->upstream.state, UPSTREAM_DIAL);
}

/* Runs until nothing is left of the connection. */
static void finish(struct connection *c)
{
    uv_run(&thread.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_alive(&thread.loop), 0);
    assert_int_equal(c->closings, 1);
    snapshot_release(c->snapshot);
}

/* Connects to a server that does this, with the server's pin and further lines. */
static struct connection connect_to(void (*serve)(struct server *s, int fd),
                                    const struct dialog_list *dialogs, const char *lines)
{
    struct connection c;
    struct server s;

    start_server(&s, serve);
    start(&c, &s, dialogs, UPSTREAM_FOR_TUNNEL, pin(&cert, lines));
    finish(&c);
    end_server(&s);
    return c;
}

static void assert_failed(const struct connection *c, enum reason reason, const char *detail)
{
    assert_int_equal(c->state, UPSTREAM_FAILED);
    if (c->reason != reason)
        fail_msg("%s (%s), not %s", reason_name(c->reason), c->detail, reason_name(reason));
    assert_contains(c->detail, detail);
}

static void assert_ready(const struct connection *c)
{
    if (c->state != UPSTREAM_READY)
        fail_msg("%s: %s", reason_name(c->reason), c->detail);
}

static void without_dialogs_tls_starts_at_once(void **state)
{
    struct connection c = connect_to(speak_tls, &no_dialogs, "");

    (void)state;
    assert_ready(&c);
}

static void answer(struct server *s, int fd)
{
    get(s, fd, "ASK a.example\n");
    put(fd, "OK\n");
    put(fd, "220 hello\n");
    get(s, fd, "START\n");
    speak_tls(s, fd);
}

static void answer_slowly(struct server *s, int fd)
{
    get(s, fd, "ASK a.example\n");
    put_slowly(fd, "OK\n220 hello\n");
    get(s, fd, "START\n");
    speak_tls(s, fd);
}

static void answer_early(struct server *s, int fd)
{
    put(fd, "OK\n220 hello\n");
    get(s, fd, "ASK a.example\nSTART\n");
    speak_tls(s, fd);
}

static void tls_starts_after_the_last_dialog(void **state)
{
    static void (*const servers[])(struct server *, int) = {answer, answer_slowly, answer_early};
    struct connection c;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(servers); i++) {
        c = connect_to(servers[i], &both, "");
        assert_ready(&c);
    }
}

static void answer_and_inject(struct server *s, int fd)
{
    get(s, fd, "ASK a.example\n");
    put(fd, "OK\n220 injected\n");
    get_end(s, fd);
}

static void answer_and_inject_later(struct server *s, int fd)
{
    get(s, fd, "ASK a.example\n");
    put(fd, "OK\n");
    get(s, fd, "\x16"); /* TLS has begun */
    put(fd, "220 injected\n");
}

static void more_than_the_last_answer_is_refused(void **state)
{
    struct connection c = connect_to(answer_and_inject, &ask, "");

    (void)state;
    assert_failed(&c, REASON_CONNECT, "ask: the server sent more than its answer before TLS");
    c = connect_to(answer_and_inject_later, &ask, "");
    assert_failed(&c, REASON_TLS, "");
}

static void refuse(struct server *s, int fd)
{
    get(s, fd, "ASK a.example\n");
    put(fd, "no such host\n");
    get_end(s, fd);
}

static void a_refusal_is_a_failure(void **state)
{
    struct connection c = connect_to(refuse, &both, "");

    (void)state;
    assert_failed(&c, REASON_CONNECT, "ask: no such host");
}

static void close_after_ok(struct server *s, int fd)
{
    get(s, fd, "ASK a.example\n");
    put(fd, "OK\n");
}

static void reset_after_ok(struct server *s, int fd)
{
    get(s, fd, "ASK a.example\n");
    put_slowly(fd, "OK\n");
    sock_reset_on_close(fd);
}

static void an_end_within_a_dialog_is_a_failure(void **state)
{
    struct connection c = connect_to(close_after_ok, &both, "");

    (void)state;
    assert_failed(&c, REASON_LOOP, "greeting: the server closed the connection");
    c = connect_to(reset_after_ok, &both, "");
    assert_failed(&c, REASON_LOOP, "greeting: the server reset the connection");
}

static void send_for_ever(struct server *s, int fd)
{
    char text[1024];
    int i;

    (void)s;
    memset(text, 'x', sizeof(text));
    for (i = 0; i < 1024 && write(fd, text, sizeof(text)) > 0; i++)
        ;
}

static void a_server_that_does_not_end_its_answer_is_refused(void **state)
{
    struct connection c = connect_to(send_for_ever, &greeting, "");

    (void)state;
    assert_failed(&c, REASON_LOOP, "greeting: the server sent more than 16384 bytes");
}

/* A byte each 20 ms, until the client gives up. */
static void trickle(struct server *s, int fd)
{
    int i;

    (void)s;
    for (i = 0; i < 1000 && send(fd, "x", 1, MSG_NOSIGNAL) == 1; i++)
        usleep(20000);
    if (i == 1000)
        snprintf(s->wrong, sizeof(s->wrong), "the client does not give up");
}

static void connect_timeout_covers_the_dialogs(void **state)
{
    struct connection c = connect_to(trickle, &greeting, "connect_timeout = 200ms\n");

    (void)state;
    assert_failed(&c, REASON_TIMEOUT, "no greeting answer (connect_timeout) within 200ms");
}

static void answer_and_stall(struct server *s, int fd)
{
    put(fd, "220 hello\n");
    get(s, fd, "START\n");
    usleep(600000);
    speak_tls(s, fd);
}

static void connect_timeout_ends_with_the_last_dialog(void **state)
{
    struct connection c = connect_to(answer_and_stall, &greeting, "connect_timeout = 500ms\n");

    (void)state;
    assert_ready(&c);
    c = connect_to(answer_and_stall, &greeting, "handshake_timeout = 200ms\n");
    assert_failed(&c, REASON_TIMEOUT, "no TLS handshake (handshake_timeout) within 200ms");
}

static sem_t go;

/* Answers once the test has said go. */
static void answer_later(struct server *s, int fd)
{
    get(s, fd, "ASK a.example\n");
    sem_wait(&go);
    put(fd, "OK\n");
    speak_tls(s, fd);
}

/* Starts a connection to a server that waits within a dialog. */
static void start_and_wait(struct connection *c, struct server *s, const char *lines)
{
    sem_init(&go, 0, 0);
    start_server(s, answer_later);
    start(c, s, &ask, UPSTREAM_FOR_TUNNEL, lines);
    while (c->upstream.state == UPSTREAM_DIAL) {
        uv_run(&thread.loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    assert_int_equal(c->upstream.state, UPSTREAM_DIALOG);
}

static void a_connection_may_be_closed_within_a_dialog(void **state)
{
    struct connection c;
    struct server s;

    (void)state;
    start_and_wait(&c, &s, pin(&cert, ""));
    upstream_close(&c.upstream, true);
    finish(&c);
    assert_int_equal(c.state, UPSTREAM_NEW); /* no event */
    sem_post(&go);
    end_server(&s);
}

/* What another thread has ordered: to close this one. */
static struct connection *to_close;

static void on_turn(struct thread *t)
{
    (void)t;
    upstream_close(&to_close->upstream, true);
}

static void an_order_is_carried_out_before_an_answer_is_read(void **state)
{
    struct connection c;
    struct server s;

    (void)state;
    start_and_wait(&c, &s, pin(&cert, ""));
    to_close = &c;
    thread.turn = on_turn;
    sem_post(&go);
    finish(&c);
    thread.turn = NULL;
    assert_int_equal(c.state, UPSTREAM_NEW);
    end_server(&s);
}

static void reload(struct connection *c, struct snapshot *snapshot)
{
    upstream_set_section(&c->upstream, snapshot_find(snapshot, "a.example"));
    snapshot_release(c->snapshot);
    c->snapshot = snapshot;
    sem_post(&go);
}

static void a_reload_within_a_dialog_decides_on_trust(void **state)
{
    const struct cert *pinned[] = {&cert, &other};
    struct connection c;
    struct server s;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(pinned); i++) {
        start_and_wait(&c, &s, pin(pinned[1 - i], ""));
        reload(&c, make_snapshot(&s, &ask, pin(pinned[i], "")));
        finish(&c);
        end_server(&s);
        if (i == 0)
            assert_ready(&c);
        else
            assert_failed(&c, REASON_PIN_MISMATCH, "");
    }
}

/* What the new server or its protocol is to be told must not be told to the old one. */
static void a_reload_within_a_dialog_that_is_not_right_any_more_connects_again(void **state)
{
    static void (*const servers[])(struct server *, int) = {speak_tls, answer};
    static const struct dialog_list *const dialogs[] = {&no_dialogs, &both};
    struct connection c;
    struct server s, next;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(servers); i++) {
        start_and_wait(&c, &s, pin(&other, ""));
        start_server(&next, servers[i]);
        reload(&c, make_snapshot(&next, dialogs[i], pin(&cert, "")));
        finish(&c);
        end_server(&s);
        end_server(&next);
        assert_ready(&c);
    }
}

static void connect_timeout_covers_both_connections(void **state)
{
    struct connection c;
    struct server s, next;

    (void)state;
    start_and_wait(&c, &s, pin(&cert, "connect_timeout = 300ms\n"));
    usleep(200000);
    start_server(&next, trickle);
    reload(&c, make_snapshot(&next, &greeting, pin(&cert, "connect_timeout = 300ms\n")));
    finish(&c);
    end_server(&s);
    end_server(&next);
    assert_failed(&c, REASON_TIMEOUT, "connect_timeout");
}

#define TOFU "verify = tofu\n"

/* Speaks TLS once the test has said go. */
static void speak_tls_later(struct server *s, int fd)
{
    char byte;

    if (recv(fd, &byte, 1, MSG_PEEK) != 1)
        snprintf(s->wrong, sizeof(s->wrong), "no ClientHello came");
    sem_wait(&go);
    speak_tls(s, fd);
}

static void a_new_address_in_the_handshake_gets_no_key_of_the_old_one(void **state)
{
    struct connection c;
    struct server s, elsewhere = {.port = 1};

    (void)state;
    sem_init(&go, 0, 0);
    start_server(&s, speak_tls_later);
    start(&c, &s, &no_dialogs, UPSTREAM_FOR_TUNNEL, TOFU);
    while (c.upstream.state == UPSTREAM_DIAL)
        uv_run(&thread.loop, UV_RUN_ONCE);
    assert_int_equal(c.upstream.state, UPSTREAM_HANDSHAKE);
    reload(&c, make_snapshot(&elsewhere, &ask, TOFU));
    finish(&c);
    end_server(&s);
    assert_failed(&c, REASON_UNSAVED, "changed the server's address");
}

static struct connection connect_unknown(enum upstream_use use)
{
    struct connection c;
    struct server s;

    start_server(&s, speak_tls);
    start(&c, &s, &no_dialogs, use, TOFU);
    finish(&c);
    end_server(&s);
    return c;
}

static void only_a_tunnel_stores_the_key_of_a_first_use(void **state)
{
    struct connection c;

    (void)state;
    c = connect_unknown(UPSTREAM_FOR_FETCH);
    assert_failed(&c, REASON_FIRST_USE, "");
    c = connect_unknown(UPSTREAM_FOR_PROBE);
    assert_failed(&c, REASON_FIRST_USE, "");
    c = connect_unknown(UPSTREAM_FOR_TUNNEL);
    assert_ready(&c);
}

static int setup(void **state)
{
    (void)state;
    cert = certs_leaf("DNS:a.example", NULL);
    other = certs_leaf("DNS:a.example", NULL);
    return thread_init(&thread);
}

static int teardown(void **state)
{
    (void)state;
    thread_close(&thread);
    uv_run(&thread.loop, UV_RUN_DEFAULT);
    thread_free(&thread);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_dialogs_tls_starts_at_once),
        cmocka_unit_test(tls_starts_after_the_last_dialog),
        cmocka_unit_test(more_than_the_last_answer_is_refused),
        cmocka_unit_test(a_refusal_is_a_failure),
        cmocka_unit_test(an_end_within_a_dialog_is_a_failure),
        cmocka_unit_test(a_server_that_does_not_end_its_answer_is_refused),
        cmocka_unit_test(connect_timeout_covers_the_dialogs),
        cmocka_unit_test(connect_timeout_ends_with_the_last_dialog),
        cmocka_unit_test(a_connection_may_be_closed_within_a_dialog),
        cmocka_unit_test(an_order_is_carried_out_before_an_answer_is_read),
        cmocka_unit_test(a_reload_within_a_dialog_decides_on_trust),
        cmocka_unit_test(a_reload_within_a_dialog_that_is_not_right_any_more_connects_again),
        cmocka_unit_test(connect_timeout_covers_both_connections),
        cmocka_unit_test(a_new_address_in_the_handshake_gets_no_key_of_the_old_one),
        cmocka_unit_test(only_a_tunnel_stores_the_key_of_a_first_use),
    };

    signal(SIGPIPE, SIG_IGN); /* as the programs have it */
    alarm(60);                /* what never comes is a failure as well */
    return cmocka_run_group_tests(tests, setup, teardown);
}
