/* proxy/pinfetch: hosts are asked for their pins, and it can be ended whatever it waits for. */
#include "proxy/pinfetch.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "certs.h"
#include "help.h"
#include "learning.h"
#include "trust/policy.h"

/* Longer than any machine takes. */
#define PATIENCE 60

#define HOST "host.test"
#define ELSEWHERE "host.test:443"

/* How far the server goes with a connection, before it waits for the client's end. */
enum behaviour { ACCEPTS, SHAKES_HANDS, ANSWERS };

static struct {
    int fd;
    unsigned port;
    SSL_CTX *ctx;
    pthread_t thread;
    _Atomic int behaviour;
    _Atomic unsigned connections, requests;
    pthread_mutex_t lock; /* of the response */
    char response[4096];
} server = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct cert leaf, backup;

static struct thread thread;
static struct pinfetch *pinfetch;
static struct snapshot *snapshot;
static unsigned tests_run;

static void serve(int fd)
{
    SSL *ssl = SSL_new(server.ctx);
    char bytes[4096];
    int n;

    assert_true(SSL_set_fd(ssl, fd) == 1);
    if (server.behaviour != ACCEPTS && SSL_accept(ssl) == 1) {
        n = SSL_read(ssl, bytes, sizeof(bytes));
        if (n > 0)
            atomic_fetch_add(&server.requests, 1);
        if (n > 0 && server.behaviour == ANSWERS) {
            pthread_mutex_lock(&server.lock);
            (void)SSL_write(ssl, server.response, (int)strlen(server.response));
            pthread_mutex_unlock(&server.lock);
            (void)SSL_shutdown(ssl);
        }
    }
    SSL_free(ssl);
    while (read(fd, bytes, sizeof(bytes)) > 0)
        continue;
}

static void *run_server(void *unused)
{
    int fd;

    (void)unused;
    while ((fd = accept(server.fd, NULL, NULL)) >= 0) {
        atomic_fetch_add(&server.connections, 1);
        serve(fd);
        close(fd);
    }
    return NULL;
}

static int start_server(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    umask(022); /* a file that the group may write is refused */
    leaf = certs_make(
        &(struct cert_order){.cn = HOST, .san = "DNS:" HOST, .from = -9999, .to = 9999});
    backup = certs_make(&(struct cert_order){.cn = "backup"});
    server.ctx = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_certificate(server.ctx, leaf.x509) != 1
        || SSL_CTX_use_PrivateKey(server.ctx, leaf.key) != 1)
        return -1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server.fd < 0 || bind(server.fd, (struct sockaddr *)&address, sizeof(address)) != 0
        || listen(server.fd, 10) != 0
        || getsockname(server.fd, (struct sockaddr *)&address, &len) != 0)
        return -1;
    server.port = ntohs(address.sin_port);
    return pthread_create(&server.thread, NULL, run_server, NULL);
}

static int stop_server(void **state)
{
    (void)state;
    shutdown(server.fd, SHUT_RDWR);
    pthread_join(server.thread, NULL);
    close(server.fd);
    SSL_CTX_free(server.ctx);
    return 0;
}

/* A configuration of one section. Its state_dir is that of the test. */
static struct snapshot *load(const char *options)
{
    struct diag_list diags = {0};
    char *text = xasprintf("[global]\nstate_dir = %s\n[" HOST "]\naddress = 127.0.0.1:%u\n%s\n",
                           temp_path("state%u", tests_run), server.port, options);
    const char *path = temp_text("test.conf", text);
    struct snapshot *s = snapshot_load(path, snapshot, &diags);

    if (s)
        snapshot_create_state_dir(s, geteuid(), &diags);
    diag_print(&diags, stderr);
    assert_int_equal(diags.count, 0);
    free(text);
    return s;
}

/* Takes a new snapshot of these options into service. */
static void apply(const char *options)
{
    struct snapshot *before = snapshot;

    snapshot = load(options);
    snapshot_release(before);
    pinfetch_update(pinfetch, snapshot);
}

static char *pinned(void)
{
    static char text[256];

    snprintf(text, sizeof(text), "pin = %s\npins_url = /pins", certs_key_pin(&leaf));
    return text;
}

static void answer(const char *field)
{
    pthread_mutex_lock(&server.lock);
    snprintf(server.response, sizeof(server.response), "HTTP/1.1 200 OK\r\n%s\r\n\r\n", field);
    pthread_mutex_unlock(&server.lock);
    server.behaviour = ANSWERS;
}

static void announce(void)
{
    char field[1000];

    snprintf(field, sizeof(field),
             "Public-Key-Pins: pin-sha256=\"%s\"; pin-sha256=\"%s\"; max-age=864000",
             certs_key_pin(&leaf) + strlen("sha256//"),
             certs_key_pin(&backup) + strlen("sha256//"));
    answer(field);
}

static int set_up(void **state)
{
    (void)state;
    tests_run++;
    server.connections = server.requests = 0;
    snapshot = NULL;
    if (thread_init(&thread) != 0)
        return -1;
    pinfetch = pinfetch_new(&thread);
    return 0;
}

/* Ends it, wherever it is. Every handle must close: thread_free() asserts that. */
static int tear_down(void **state)
{
    (void)state;
    pinfetch_close(pinfetch);
    pinfetch = NULL;
    thread_close(&thread);
    uv_run(&thread.loop, UV_RUN_DEFAULT);
    thread_free(&thread);
    snapshot_release(snapshot);
    return 0;
}

static void on_tick(uv_timer_t *tick)
{
    (void)tick;
}

/* Runs the loop until a condition holds. */
static void run_until(bool condition(void))
{
    const int64_t end = clock_now() + PATIENCE;
    uv_timer_t tick;

    uv_timer_init(&thread.loop, &tick);
    uv_timer_start(&tick, on_tick, 1, 1);
    while (!condition()) {
        assert_true(clock_now() < end);
        uv_run(&thread.loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&tick, NULL);
    uv_run(&thread.loop, UV_RUN_NOWAIT);
}

static size_t count_keys(enum learned_origin from)
{
    struct learned_key keys[LEARNED_KEYS_MAX];
    size_t n = learned_find(snapshot->learned, HOST, ELSEWHERE, keys), i, count = 0;

    for (i = 0; i < n; i++)
        count += keys[i].from == from;
    return count;
}

static bool is_stored(void)
{
    return count_keys(LEARNED_PINS_URL) > 0;
}

static bool is_connected(void)
{
    return server.connections > 0;
}

static bool is_asked(void)
{
    return server.requests > 0;
}

static bool is_asked_twice(void)
{
    return server.requests > 1;
}

static bool has_failed(void)
{
    return lseek(STDERR_FILENO, 0, SEEK_END) > 0; /* into which the log is captured */
}

/* Runs the loop for a moment, in which nothing may happen. */
static void run_for_a_moment(void)
{
    int i;

    for (i = 0; i < 300; i++) {
        uv_run(&thread.loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
}

static void announced_pins_are_stored_and_logged(void **state)
{
    struct learned_key keys[LEARNED_KEYS_MAX];
    char pin[PIN_KEY_TEXT_SIZE], *text;

    (void)state;
    announce();
    capture_start();
    apply(pinned());
    run_until(is_stored);
    run_for_a_moment();
    text = capture_end();
    /* the configuration has the other one */
    assert_int_equal(learned_find(snapshot->learned, HOST, ELSEWHERE, keys), 1);
    pin_format_key(keys[0].digest, pin);
    assert_string_equal(pin, certs_key_pin(&backup));
    assert_true(keys[0].via.known && keys[0].until > clock_now() + 8 * DAY_SECONDS);
    assert_contains(text, "event=learned");
    assert_contains(text, certs_key_pin(&backup));
    assert_null(strstr(text, "pins_url_failed"));
    free(text);
    assert_int_equal(server.connections, 1);
}

static void a_bad_announcement_is_logged_and_stores_nothing(void **state)
{
    char *text;

    (void)state;
    answer("Public-Key-Pins: max-age=7");
    capture_start();
    apply(pinned());
    run_until(has_failed);
    run_for_a_moment();
    text = capture_end();
    assert_contains(text, "event=pins_url_failed section=" HOST);
    assert_contains(text, "no pin-sha256");
    free(text);
    assert_false(is_stored());
    assert_int_equal(server.connections, 1); /* the next one is due in an hour */
}

static void a_host_that_is_not_trusted_is_not_asked(void **state)
{
    char options[256], *text;

    (void)state;
    announce();
    snprintf(options, sizeof(options), "pin = %s\npins_url = /pins", certs_key_pin(&backup));
    capture_start();
    apply(options);
    run_until(has_failed);
    run_for_a_moment();
    text = capture_end();
    assert_contains(text, "event=pin_mismatch");
    free(text);
    assert_false(is_stored() || is_asked());
}

static void a_host_whose_key_is_unknown_is_asked_as_soon_as_it_is_known(void **state)
{
    uint8_t digest[CERT_DIGEST_SIZE];
    char *text;

    (void)state;
    announce();
    capture_start();
    apply("verify = tofu\npins_url = /pins");
    run_until(is_connected);
    run_for_a_moment();
    text = capture_end();
    assert_string_equal(text, ""); /* that is no failure, and no first use either */
    free(text);
    assert_false(is_asked());
    assert_int_equal(count_keys(LEARNED_TOFU), 0);
    assert_true(cert_key_digest(leaf.x509, digest));
    learn_key(snapshot->learned, HOST, ELSEWHERE, digest, clock_now());
    pinfetch_update(pinfetch, snapshot);
    run_until(is_stored);
}

static void what_is_under_way_is_asked_again_under_a_new_configuration(void **state)
{
    (void)state;
    server.behaviour = SHAKES_HANDS;
    apply(pinned());
    run_until(is_asked);
    announce();
    apply(pinned());
    run_until(is_asked_twice);
    run_until(is_stored);
}

static void a_section_that_is_gone_is_asked_no_more(void **state)
{
    char options[256];

    (void)state;
    server.behaviour = SHAKES_HANDS;
    apply(pinned());
    run_until(is_asked);
    announce();
    snprintf(options, sizeof(options), "pin = %s\nverify = tofu", certs_key_pin(&leaf));
    apply(options);
    run_for_a_moment();
    assert_int_equal(server.requests, 1);
    assert_false(is_stored());
}

/* In each of these it is ended by tear_down(). */

static void it_can_be_ended_before_it_connects(void **state)
{
    (void)state;
    server.behaviour = ACCEPTS;
    apply(pinned());
}

static void it_can_be_ended_in_the_handshake(void **state)
{
    (void)state;
    server.behaviour = ACCEPTS;
    apply(pinned());
    run_until(is_connected);
}

static void it_can_be_ended_while_it_waits_for_the_response(void **state)
{
    (void)state;
    server.behaviour = SHAKES_HANDS;
    apply(pinned());
    run_until(is_asked);
}

static int lock_fd = -1;

static void *unlock_later(void *unused)
{
    (void)unused;
    usleep(300000);
    close(lock_fd);
    return NULL;
}

static void a_write_that_is_under_way_is_made_though_it_is_ended(void **state)
{
    pthread_t unlocker;

    (void)state;
    announce();
    apply(pinned());
    lock_fd = open(temp_path("state%u/learned.lock", tests_run), O_RDWR | O_CREAT, 0600);
    assert_true(lock_fd >= 0 && flock(lock_fd, LOCK_EX) == 0);
    run_until(is_asked);
    run_for_a_moment(); /* so that it waits for the lock */
    assert_false(is_stored());
    assert_int_equal(pthread_create(&unlocker, NULL, unlock_later, NULL), 0);
    pinfetch_close(pinfetch);
    pinfetch = NULL;
    uv_run(&thread.loop, UV_RUN_NOWAIT);
    assert_int_equal(pthread_join(unlocker, NULL), 0);
    run_until(is_stored);
}

static void it_can_be_ended_between_two_connections(void **state)
{
    (void)state;
    announce();
    apply(pinned());
    run_until(is_stored);
    run_for_a_moment();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(announced_pins_are_stored_and_logged),
        TEST(a_bad_announcement_is_logged_and_stores_nothing),
        TEST(a_host_that_is_not_trusted_is_not_asked),
        TEST(a_host_whose_key_is_unknown_is_asked_as_soon_as_it_is_known),
        TEST(what_is_under_way_is_asked_again_under_a_new_configuration),
        TEST(a_section_that_is_gone_is_asked_no_more),
        TEST(it_can_be_ended_before_it_connects),
        TEST(it_can_be_ended_in_the_handshake),
        TEST(it_can_be_ended_while_it_waits_for_the_response),
        TEST(a_write_that_is_under_way_is_made_though_it_is_ended),
        TEST(it_can_be_ended_between_two_connections),
    };

    return cmocka_run_group_tests(tests, start_server, stop_server);
}
