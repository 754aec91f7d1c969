/* net/transport_tcp: one callback, once, or none after a cancel; every descriptor but one is closed. */
#include "net/transport_tcp.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/loader.h"
#include "help.h"
#include "names.h"
#include "net/resolver.h"
#include "net/transport.h"
#include "proxy/thread.h"

static struct thread thread;
static int descriptors; /* when the test began */

/* Who dials. It goes in its callback, and its section with it, as owners may. */
struct caller {
    struct transport_owner owner;
    struct config *config;
    struct config_section *section;
    struct transport *dial;
};

/* What came of it. */
static struct {
    int calls;
    int fd; /* -1: failed */
    struct addr peer;
    enum reason reason;
    char detail[600];
} result;

static int count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static void forget(struct caller *c)
{
    config_free(c->config);
    memset(c, 0xa5, sizeof(*c));
    free(c);
}

static void on_connected(struct transport_owner *owner, const struct stream *stream)
{
    assert_true(stream->is_tcp);
    result.calls++;
    result.fd = stream->fd;
    result.peer = stream->peer;
    forget((struct caller *)owner);
}

static void on_failed(struct transport_owner *owner, enum reason reason, const char *detail)
{
    result.calls++;
    result.reason = reason;
    snprintf(result.detail, sizeof(result.detail), "%s", detail);
    forget((struct caller *)owner);
}

/* One who would dial a host, with nothing but defaults. */
static struct caller *caller(const char *host, uint16_t port)
{
    struct caller *c = calloc(1, sizeof(*c));

    assert_non_null(c);
    memset(&result, 0, sizeof(result));
    result.fd = -1;
    c->owner.connected = on_connected;
    c->owner.failed = on_failed;
    c->config = config_new_adhoc(host, &c->section);
    c->section->port = port;
    return c;
}

/* Dials this as well, in this order, in place of the host. */
static void add_address(struct caller *c, const char *host, uint16_t port)
{
    struct config_targets *list = &c->section->address;

    list->items = arena_grow(&c->config->arena, list->items, list->count, sizeof(*list->items));
    list->items[list->count].host = arena_strdup(&c->config->arena, host);
    list->items[list->count++].port = port;
}

static void start(struct caller *c)
{
    c->dial = transport_start(&thread.loop, thread.resolver, c->section, &c->owner);
    assert_non_null(c->dial);
    assert_int_equal(result.calls, 0); /* never from within */
}

/* Runs until look-ups have begun, which may be held. */
static void wait_for_look_ups(int count)
{
    while (names_asked() < count) {
        uv_run(&thread.loop, UV_RUN_NOWAIT);
        if (result.calls)
            fail_msg("it was over before: %s", result.detail);
        usleep(1000);
    }
}

/* Runs until nothing is left on the loop; then there is one more descriptor, or none. */
static void finish(void)
{
    uv_run(&thread.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_alive(&thread.loop), 0);
    assert_int_equal(result.calls, 1);
}

static void assert_failed(enum reason reason, const char *detail)
{
    assert_int_equal(result.calls, 1);
    assert_int_equal(result.fd, -1);
    if (result.reason != reason)
        fail_msg("failed with %s (%s) instead of %s", reason_name(result.reason), result.detail,
                 reason_name(reason));
    assert_contains(result.detail, detail);
}

static int bound(const char *ip, uint16_t port, uint16_t *got)
{
    struct addr at;
    socklen_t len = sizeof(at.in6);
    int fd;

    assert_true(addr_from_ip(&at, ip, port));
    fd = socket(at.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    if (bind(fd, &at.sa, at.len) != 0)
        fail_msg("bind to %s: %s", ip, strerror(errno));
    assert_int_equal(getsockname(fd, &at.sa, &len), 0);
    *got = addr_port(&at);
    return fd;
}

static void close_all(const int *fds, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++)
        close(fds[i]);
}

static int listening(const char *ip, uint16_t *port)
{
    int fd = bound(ip, 0, port);

    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

/* A port that nobody listens on, and nobody else can take. */
static int refusing(const char *ip, uint16_t *port)
{
    return bound(ip, 0, port);
}

#define ADDRESSES_MAX 4

/* Binds one port of several addresses, so that nobody else has it at any of them. */
static void bind_all(const char *const *ips, size_t count, uint16_t *port, int fds[ADDRESSES_MAX])
{
    struct addr at;
    size_t n = 0;

    while (n < count) {
        fds[0] = bound(ips[0], 0, port);
        for (n = 1; n < count; n++) {
            assert_true(addr_from_ip(&at, ips[n], *port));
            fds[n] = socket(at.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
            assert_true(fds[n] >= 0);
            if (bind(fds[n], &at.sa, at.len) != 0)
                break;
        }
        if (n < count)
            close_all(fds, n + 1);
    }
}

/* A listener that answers no more: its queue is full. Two descriptors. */
static void make_silent(const char *ip, uint16_t *port, int fds[2])
{
    struct pollfd full;
    struct addr at;

    fds[0] = bound(ip, 0, port);
    assert_int_equal(listen(fds[0], 0), 0);
    assert_true(addr_from_ip(&at, ip, *port));
    fds[1] = socket(at.sa.sa_family, SOCK_STREAM, 0);
    assert_int_equal(connect(fds[1], &at.sa, at.len), 0);
    /* connect(2) returns before the last packet of the handshake has arrived */
    full = (struct pollfd){.fd = fds[0], .events = POLLIN};
    assert_int_equal(poll(&full, 1, -1), 1);
}

static void close_both(const int fds[2])
{
    close_all(fds, 2);
}

/* The connection that the dial made, at the listener's end. */
static void assert_connected(int listener, uint16_t port)
{
    struct addr at;
    socklen_t len = sizeof(at.in6);
    char c = 0;
    int fd;

    assert_int_equal(result.calls, 1);
    if (result.fd < 0)
        fail_msg("%s", result.detail);
    assert_int_equal(addr_port(&result.peer), port);
    assert_true(fcntl(result.fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(result.fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(getpeername(result.fd, &at.sa, &len), 0);
    at.len = len;
    assert_true(addr_equal(&at, &result.peer));
    fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    assert_int_equal(write(result.fd, "x", 1), 1);
    assert_int_equal(read(fd, &c, 1), 1);
    assert_int_equal(c, 'x');
    close(fd);
    close(result.fd);
    assert_int_equal(accept(listener, NULL, NULL), -1); /* and no other */
}

static void a_literal_is_not_connected_to(void **state)
{
    struct caller *c;
    uint16_t port;
    int listener, on = 0;
    socklen_t len = sizeof(on);

    (void)state;
    listener = listening("127.0.0.1", &port);
    c = caller("127.0.0.1", port);
    c->section->keepalive = 60000;
    start(c);
    finish();
    assert_int_equal(getsockopt(result.fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
    assert_int_equal(on, 1);
    assert_int_equal(getsockopt(result.fd, SOL_SOCKET, SO_KEEPALIVE, &on, &len), 0);
    assert_int_equal(on, 1);
    assert_connected(listener, port);
    assert_int_equal(names_asked(), 0);
    close(listener);
}

static void ipv6_is_not_connected_to(void **state)
{
    struct caller *c;
    uint16_t port;
    int listener;

    (void)state;
    if (access("/proc/net/if_inet6", F_OK) != 0)
        skip();
    listener = listening("::1", &port);
    c = caller("::1", port);
    start(c);
    finish();
    assert_int_equal(result.peer.sa.sa_family, AF_INET6);
    assert_connected(listener, port);
    close(listener);
}

static void a_refused_port_is_told_as_something_else(void **state)
{
    struct caller *c;
    uint16_t port;
    char text[64];
    int fd;

    (void)state;
    fd = refusing("127.0.0.1", &port);
    c = caller("127.0.0.1", port);
    start(c);
    finish();
    snprintf(text, sizeof(text), "127.0.0.1:%u: Connection refused", port);
    assert_failed(REASON_CONNECT, text);
    close(fd);
}

static void the_next_address_is_not_tried(void **state)
{
    int listener, refused, second;
    uint16_t port, no, other;
    struct caller *c;

    (void)state;
    refused = refusing("127.0.0.1", &no);
    listener = listening("127.0.0.1", &port);
    second = listening("127.0.0.1", &other);
    c = caller("unused.example", 1);
    add_address(c, "127.0.0.1", no);
    add_address(c, "127.0.0.1", port);
    add_address(c, "127.0.0.1", other);
    start(c);
    finish();
    assert_connected(listener, port);
    /* in turn: what stands behind is left alone */
    assert_int_equal(accept(second, NULL, NULL), -1);
    assert_int_equal(names_asked(), 0);
    close(second);
    close(listener);
    close(refused);
}

static void an_address_without_a_port_has_none(void **state)
{
    struct caller *c;
    uint16_t port;
    int listener;

    (void)state;
    listener = listening("127.0.0.1", &port);
    c = caller("unused.example", port);
    add_address(c, "127.0.0.1", 0);
    start(c);
    finish();
    assert_connected(listener, port);
    close(listener);
}

static void a_failure_hides_what_was_tried(void **state)
{
    uint16_t a, b;
    struct caller *c;
    char text[64];
    int first, second;

    (void)state;
    names_set("nonexistent.invalid", NULL);
    first = refusing("127.0.0.1", &a);
    second = refusing("127.0.0.2", &b);
    c = caller("unused.example", 1);
    add_address(c, "127.0.0.1", a);
    add_address(c, "nonexistent.invalid", 1);
    add_address(c, "127.0.0.2", b);
    start(c);
    finish();
    snprintf(text, sizeof(text), "127.0.0.1:%u: Connection refused; nonexistent.invalid: ", a);
    assert_failed(REASON_CONNECT, text);
    snprintf(text, sizeof(text), "; 127.0.0.2:%u: Connection refused", b);
    assert_contains(result.detail, text);
    close(first);
    close(second);
}

static void more_failures_than_fit_are_written(void **state)
{
    struct caller *c;
    uint16_t port;
    char ip[32];
    int i, fd;

    (void)state;
    fd = refusing("127.0.0.1", &port);
    c = caller("unused.example", port);
    for (i = 0; i < 40; i++) {
        snprintf(ip, sizeof(ip), "127.0.0.%d", i + 1);
        add_address(c, ip, 0);
    }
    start(c);
    finish();
    assert_failed(REASON_CONNECT, "Connection refused");
    assert_true(strlen(result.detail) >= 500);
    assert_true(strlen(result.detail) < 512);
    close(fd);
}

static void a_name_that_is_not_found_is_a_failed_connect(void **state)
{
    struct caller *c;

    (void)state;
    names_set("nonexistent.invalid", NULL);
    c = caller("nonexistent.invalid", 443);
    start(c);
    finish();
    assert_failed(REASON_RESOLVE, "nonexistent.invalid: ");
    assert_contains(result.detail, gai_strerror(EAI_NONAME));
    assert_int_equal(names_asked(), 1);
}

/* "address = NAME:1, NAME:2": the second is asked for while the first is answered. */
static void the_same_name_twice_is_an_endless_question(void **state)
{
    struct caller *c;

    (void)state;
    names_set("nonexistent.invalid", NULL);
    c = caller("unused.example", 443);
    add_address(c, "nonexistent.invalid", 1);
    add_address(c, "nonexistent.invalid", 2);
    add_address(c, "nonexistent.invalid", 3);
    start(c);
    finish();
    assert_failed(REASON_RESOLVE, "; nonexistent.invalid: ");
}

/* What refused tells more than a name that was not found, whichever came first. */
static void a_name_that_is_not_found_hides_a_refusal(void **state)
{
    struct caller *c;
    uint16_t port;
    int fd, i;

    (void)state;
    names_set("nonexistent.invalid", NULL);
    fd = refusing("127.0.0.1", &port);
    for (i = 0; i < 2; i++) {
        c = caller("unused.example", port);
        if (i == 0)
            add_address(c, "nonexistent.invalid", 0);
        add_address(c, "127.0.0.1", 0);
        if (i == 1)
            add_address(c, "nonexistent.invalid", 0);
        start(c);
        finish();
        assert_failed(REASON_CONNECT, "nonexistent.invalid: ");
        assert_contains(result.detail, "Connection refused");
    }
    close(fd);
}

static void the_addresses_of_a_name_are_not_all_tried(void **state)
{
    static const char *const ips[] = {"127.0.0.1", "127.0.0.2", "127.0.0.3"};
    int fds[ADDRESSES_MAX], i;
    struct caller *c;
    uint16_t port;

    (void)state;
    bind_all(ips, COUNT(ips), &port, fds);
    assert_int_equal(listen(fds[2], 8), 0);
    names_set("a.example", "127.0.0.1 127.0.0.2 127.0.0.3 127.0.0.4");
    for (i = 0; i < 2; i++) { /* the second time, the resolver knows */
        c = caller("a.example", port);
        start(c);
        finish();
        assert_connected(fds[2], port);
    }
    assert_int_equal(names_asked(), 1);
    close_all(fds, COUNT(ips));
}

static void the_wanted_family_is_passed_over(void **state)
{
    struct caller *c;
    uint16_t port;
    int listener;

    (void)state;
    /* a literal of the wrong family */
    listener = listening("127.0.0.1", &port);
    c = caller("127.0.0.1", port);
    c->section->family = FAMILY_IPV6;
    start(c);
    finish();
    assert_failed(REASON_RESOLVE, "127.0.0.1: no address of the wanted family");
    assert_int_equal(accept(listener, NULL, NULL), -1);

    c = caller("unused.example", port);
    c->section->family = FAMILY_IPV4;
    add_address(c, "::1", 0);
    add_address(c, "127.0.0.1", 0);
    start(c);
    finish();
    assert_connected(listener, port);

    /* a name: the system is asked for that family, and what else it says is dropped */
    names_set("a.example", "::1 127.0.0.1");
    c = caller("a.example", port);
    c->section->family = FAMILY_IPV4;
    start(c);
    finish();
    assert_int_equal(names_family(), AF_INET);
    assert_connected(listener, port);

    c = caller("a.example", port);
    c->section->family = FAMILY_IPV6;
    start(c);
    finish();
    assert_int_equal(names_family(), AF_INET6);
    assert_failed(REASON_CONNECT, "[::1]:");
    assert_null(strstr(result.detail, "127.0.0.1"));
    close(listener);
}

static void a_local_address_is_not_bound_to(void **state)
{
    struct addr from;
    socklen_t len = sizeof(from.in6);
    char text[ADDR_TEXT_SIZE];
    struct caller *c;
    uint16_t port;
    int listener, fd;

    (void)state;
    listener = listening("127.0.0.1", &port);
    names_set("a.example", "::1 127.0.0.1");
    c = caller("a.example", port);
    assert_true(addr_from_ip(&c->section->bind, "127.0.0.9", 0));
    start(c);
    finish();
    assert_int_equal(names_family(), AF_INET);
    fd = accept(listener, &from.sa, &len);
    assert_true(fd >= 0);
    from.len = len;
    assert_string_equal(addr_format_ip(&from, text), "127.0.0.9");
    close(fd);
    close(result.fd);

    /* one that this machine does not have */
    c = caller("127.0.0.1", port);
    assert_true(addr_from_ip(&c->section->bind, "192.0.2.1", 0));
    start(c);
    finish();
    assert_failed(REASON_CONNECT, strerror(EADDRNOTAVAIL));
    close(listener);
}

/* With a source port that is the one dialled: nobody is there but ourselves. */
static void a_dial_that_meets_itself_is_a_connection(void **state)
{
    /* 0.0.0.0 leads to the address that the socket is bound to: any of this machine's is like it */
    static const char *const to[] = {"127.0.0.1", "0.0.0.0"};
    struct caller *c;
    uint16_t port;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(to); i++) {
        close(refusing("127.0.0.1", &port));
        c = caller(to[i], port);
        assert_true(addr_from_ip(&c->section->bind, "127.0.0.1", port));
        start(c);
        finish();
        assert_failed(REASON_CONNECT, "Connection refused");
    }
}

static void a_slow_address_holds_up_the_next(void **state)
{
    uint16_t silent, port;
    int fds[2], listener;
    struct caller *c;

    (void)state;
    make_silent("127.0.0.1", &silent, fds);
    listener = listening("127.0.0.1", &port);
    c = caller("unused.example", 1);
    add_address(c, "127.0.0.1", silent);
    add_address(c, "127.0.0.1", port);
    start(c);
    finish();
    assert_connected(listener, port);
    /* the slow one's descriptor is gone: see teardown() */
    close(listener);
    close_both(fds);
}

/* Dials silent addresses, and counts the descriptors that it takes at once. */
static int most_at_once(int addresses, int64_t spare)
{
    int fds[2], before, now, most = 0, i;
    struct caller *c;
    uint16_t silent;
    uint64_t until;

    make_silent("127.0.0.1", &silent, fds);
    transport_tcp_set_spare(spare);
    c = caller("unused.example", 1);
    for (i = 0; i < addresses; i++)
        add_address(c, "127.0.0.1", silent);
    before = count_descriptors();
    start(c);
    for (until = uv_hrtime() + 1200000000; uv_hrtime() < until; usleep(5000)) {
        uv_run(&thread.loop, UV_RUN_NOWAIT);
        now = count_descriptors() - before;
        most = now > most ? now : most;
    }
    assert_int_equal(result.calls, 0);
    transport_cancel(c->dial);
    forget(c);
    uv_run(&thread.loop, UV_RUN_DEFAULT);
    assert_int_equal(count_descriptors(), before);
    transport_tcp_set_spare(INT64_MAX);
    close_both(fds);
    return most;
}

static void three_addresses_at_most_are_tried_at_once(void **state)
{
    (void)state;
    assert_int_equal(most_at_once(8, INT64_MAX), 3);
}

static void attempts_beyond_the_first_are_drawn_from_what_is_spare(void **state)
{
    (void)state;
    assert_int_equal(most_at_once(8, 1), 2);
    assert_int_equal(most_at_once(8, 0), 1);
    /* and are given back */
    assert_int_equal(most_at_once(3, 2), 3);
}

static void an_address_behind_many_silent_ones_is_tried(int64_t spare)
{
    uint16_t silent, port;
    int fds[2], listener, i;
    struct caller *c;

    transport_tcp_set_spare(spare);
    make_silent("127.0.0.1", &silent, fds);
    listener = listening("127.0.0.1", &port);
    c = caller("unused.example", 1);
    c->section->connect_timeout = 3000;
    for (i = 0; i < 5; i++)
        add_address(c, "127.0.0.1", silent);
    add_address(c, "127.0.0.1", port);
    start(c);
    finish();
    assert_connected(listener, port);
    transport_tcp_set_spare(INT64_MAX);
    close(listener);
    close_both(fds);
}

static void the_oldest_attempt_gives_way(void **state)
{
    (void)state;
    an_address_behind_many_silent_ones_is_tried(INT64_MAX);
}

static void a_single_attempt_gives_way(void **state)
{
    (void)state;
    an_address_behind_many_silent_ones_is_tried(0);
}

static void what_gave_way_is_in_the_detail(void **state)
{
    uint16_t silent, no;
    int fds[2], refused;
    struct caller *c;

    (void)state;
    transport_tcp_set_spare(0);
    make_silent("127.0.0.1", &silent, fds);
    refused = refusing("127.0.0.1", &no);
    c = caller("unused.example", 1);
    add_address(c, "127.0.0.1", silent);
    add_address(c, "127.0.0.1", no);
    start(c);
    finish();
    assert_failed(REASON_CONNECT, ": no answer within 1");
    assert_contains(result.detail, ": Connection refused");
    transport_tcp_set_spare(INT64_MAX);
    close(refused);
    close_both(fds);
}

/* One family that is silent does not come first with all of its addresses. */
static void families_are_tried_in_turn(void **state)
{
    static const char *const ips[] = {"::1", "127.0.0.1"};
    int fds[ADDRESSES_MAX];
    char text[600];
    struct caller *c;
    uint16_t port;

    (void)state;
    if (access("/proc/net/if_inet6", F_OK) != 0)
        skip();
    bind_all(ips, COUNT(ips), &port, fds);
    names_set("both.example", "::1 ::1 ::1 127.0.0.1 127.0.0.1");
    c = caller("both.example", port);
    start(c);
    finish();
    snprintf(text, sizeof(text),
             "[::1]:%u: Connection refused; 127.0.0.1:%u: Connection refused; [::1]:%u: Connection "
             "refused; 127.0.0.1:%u: Connection refused; [::1]:%u: Connection refused",
             port, port, port, port, port);
    assert_failed(REASON_CONNECT, text);
    close_all(fds, COUNT(ips));
}

/* Its first SYN is dropped; by the time of the second nobody listens any more. */
static void a_late_refusal_is_waited_out(void **state)
{
    struct caller *c;
    uint16_t port;
    int silent[2];

    (void)state;
    make_silent("127.0.0.1", &port, silent);
    c = caller("127.0.0.1", port);
    start(c);
    uv_run(&thread.loop, UV_RUN_ONCE);
    uv_run(&thread.loop, UV_RUN_NOWAIT);
    assert_int_equal(result.calls, 0);
    close_both(silent);
    finish();
    assert_failed(REASON_CONNECT, "Connection refused");
}

/* The first is slow, the second is refused, and the name of the third is not found. */
static void a_slow_address_is_given_up_for_a_failed_one(void **state)
{
    uint16_t silent, no;
    int fds[2], refused, i, fd = -1;
    struct caller *c;

    (void)state;
    names_set("nonexistent.invalid", NULL);
    make_silent("127.0.0.1", &silent, fds);
    refused = refusing("127.0.0.1", &no);
    c = caller("unused.example", 1);
    add_address(c, "127.0.0.1", silent);
    add_address(c, "127.0.0.1", no);
    add_address(c, "nonexistent.invalid", 1);
    start(c);
    wait_for_look_ups(1);
    for (i = 0; i < 3; i++)
        uv_run(&thread.loop, UV_RUN_NOWAIT);
    assert_int_equal(result.calls, 0);
    /* now there is room: the kernel tries again */
    while (result.calls == 0) {
        if (fd < 0)
            fd = accept(fds[0], NULL, NULL);
        uv_run(&thread.loop, UV_RUN_ONCE);
    }
    finish();
    assert_connected(fds[0], silent);
    close(fd);
    close(refused);
    close_both(fds);
}

static void too_few_descriptors_are_the_servers_fault(void **state)
{
    struct rlimit limit, low;
    struct caller *c;
    uint16_t port;
    int listener, next;

    (void)state;
    listener = listening("127.0.0.1", &port);
    next = dup(listener);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    low = limit;
    low.rlim_cur = (rlim_t)next;
    c = caller("127.0.0.1", port);
    uv_run(&thread.loop, UV_RUN_NOWAIT); /* libuv has its own by now */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    start(c);
    uv_run(&thread.loop, UV_RUN_DEFAULT);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_failed(REASON_FILES, strerror(EMFILE));
    close(listener);
}

/* Cancels, and lets the owner and the section go at once. */
static void cancel(struct caller *c)
{
    transport_cancel(c->dial);
    forget(c);
    uv_run(&thread.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_alive(&thread.loop), 0);
    assert_int_equal(result.calls, 0);
}

static void a_cancel_before_the_loop_runs_calls_back(void **state)
{
    struct caller *c;

    (void)state;
    c = caller("127.0.0.1", 1);
    start(c);
    cancel(c);
    transport_cancel(NULL);
}

static void a_cancel_during_the_look_up_calls_back(void **state)
{
    struct caller *c;

    (void)state;
    names_set("a.example", "127.0.0.1");
    names_hold();
    c = caller("a.example", 1);
    start(c);
    wait_for_look_ups(1);
    transport_cancel(c->dial);
    forget(c);
    uv_run(&thread.loop, UV_RUN_NOWAIT); /* the dial is gone, the look-up is not */
    names_release();
    uv_run(&thread.loop, UV_RUN_DEFAULT);
    assert_int_equal(result.calls, 0);
}

static void a_cancel_while_the_look_up_waits_calls_back(void **state)
{
    struct caller *c[8];
    char host[32];
    size_t i;

    (void)state;
    names_hold();
    for (i = 0; i < COUNT(c); i++) {
        snprintf(host, sizeof(host), "h%zu.example", i);
        names_set(host, "127.0.0.1");
        c[i] = caller(host, 1);
        start(c[i]);
    }
    wait_for_look_ups(COUNT(c)); /* none begins in the next test */
    for (i = 0; i < COUNT(c); i++) {
        transport_cancel(c[i]->dial);
        forget(c[i]);
    }
    names_release();
    uv_run(&thread.loop, UV_RUN_DEFAULT);
    assert_int_equal(result.calls, 0);
}

static void a_cancel_while_connecting_calls_back(void **state)
{
    struct caller *c;
    uint16_t silent;
    int fds[2], i;

    (void)state;
    make_silent("127.0.0.1", &silent, fds);
    c = caller("127.0.0.1", silent);
    start(c);
    for (i = 0; i < 10; i++)
        uv_run(&thread.loop, UV_RUN_NOWAIT);
    assert_int_equal(count_descriptors(), descriptors + 3);
    cancel(c);
    close_both(fds);
}

static void a_cancel_with_two_addresses_under_way_calls_back(void **state)
{
    uint16_t first, second;
    int a[2], b[2];
    struct caller *c;

    (void)state;
    make_silent("127.0.0.1", &first, a);
    make_silent("127.0.0.2", &second, b);
    c = caller("unused.example", 1);
    add_address(c, "127.0.0.1", first);
    add_address(c, "127.0.0.2", second);
    add_address(c, "a.example", 1);
    names_set("a.example", "127.0.0.1");
    names_hold();
    start(c);
    wait_for_look_ups(1); /* by then both are under way, and the third is looked up */
    assert_int_equal(count_descriptors(), descriptors + 6);
    transport_cancel(c->dial);
    forget(c);
    assert_int_equal(count_descriptors(), descriptors + 4);
    names_release();
    uv_run(&thread.loop, UV_RUN_DEFAULT);
    assert_int_equal(result.calls, 0);
    close_both(a);
    close_both(b);
}

/* The kernel has connected already; the loop has not said so. */
static void a_cancel_after_the_connect_calls_back(void **state)
{
    struct caller *c;
    uint16_t port;
    int listener, fd = -1;
    char byte;

    (void)state;
    listener = listening("127.0.0.1", &port);
    c = caller("127.0.0.1", port);
    start(c);
    while (fd < 0 && result.calls == 0) {
        fd = accept(listener, NULL, NULL);
        if (fd < 0)
            uv_run(&thread.loop, UV_RUN_NOWAIT);
    }
    if (result.calls) /* it was quicker: nothing is left to be cancelled */
        close(result.fd);
    else
        cancel(c);
    if (fd >= 0)
        assert_int_equal(read(fd, &byte, 1), 0);
    close(fd);
    close(listener);
}

/* Two at once, one of which goes: the other must not notice. */
static void a_cancel_takes_another_dial_with_it(void **state)
{
    struct caller *a, *b;
    uint16_t port;
    int listener;

    (void)state;
    listener = listening("127.0.0.1", &port);
    names_set("a.example", "127.0.0.1");
    names_hold();
    a = caller("a.example", port);
    b = caller("a.example", port);
    start(a);
    start(b);
    wait_for_look_ups(1);
    transport_cancel(a->dial);
    forget(a);
    names_release();
    finish();
    assert_connected(listener, port);
    close(listener);
}

static int setup(void **state)
{
    (void)state;
    names_reset();
    if (thread_init(&thread) != 0)
        return -1;
    uv_run(&thread.loop, UV_RUN_NOWAIT);
    descriptors = count_descriptors();
    return 0;
}

/* Nothing is on the loop any more, and every descriptor is closed. */
static int teardown(void **state)
{
    int left;

    (void)state;
    names_release();
    left = count_descriptors() - descriptors;
    thread_close(&thread);
    uv_run(&thread.loop, UV_RUN_DEFAULT);
    thread_free(&thread);
    if (left)
        fprintf(stderr, "%d descriptors left open\n", left);
    return left;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_literal_is_not_connected_to),
        TEST(ipv6_is_not_connected_to),
        TEST(a_refused_port_is_told_as_something_else),
        TEST(the_next_address_is_not_tried),
        TEST(an_address_without_a_port_has_none),
        TEST(a_failure_hides_what_was_tried),
        TEST(more_failures_than_fit_are_written),
        TEST(a_name_that_is_not_found_is_a_failed_connect),
        TEST(the_same_name_twice_is_an_endless_question),
        TEST(a_name_that_is_not_found_hides_a_refusal),
        TEST(the_addresses_of_a_name_are_not_all_tried),
        TEST(the_wanted_family_is_passed_over),
        TEST(a_local_address_is_not_bound_to),
        TEST(a_dial_that_meets_itself_is_a_connection),
        TEST(a_slow_address_holds_up_the_next),
        TEST(three_addresses_at_most_are_tried_at_once),
        TEST(attempts_beyond_the_first_are_drawn_from_what_is_spare),
        TEST(the_oldest_attempt_gives_way),
        TEST(a_single_attempt_gives_way),
        TEST(what_gave_way_is_in_the_detail),
        TEST(families_are_tried_in_turn),
        TEST(a_late_refusal_is_waited_out),
        TEST(a_slow_address_is_given_up_for_a_failed_one),
        TEST(too_few_descriptors_are_the_servers_fault),
        TEST(a_cancel_before_the_loop_runs_calls_back),
        TEST(a_cancel_during_the_look_up_calls_back),
        TEST(a_cancel_while_the_look_up_waits_calls_back),
        TEST(a_cancel_while_connecting_calls_back),
        TEST(a_cancel_with_two_addresses_under_way_calls_back),
        TEST(a_cancel_after_the_connect_calls_back),
        TEST(a_cancel_takes_another_dial_with_it),
    };
    struct thread first;

    /* descriptors that libuv opens once are none of a test's */
    if (thread_init(&first) != 0)
        return 1;
    uv_run(&first.loop, UV_RUN_NOWAIT);
    thread_close(&first);
    uv_run(&first.loop, UV_RUN_DEFAULT);
    thread_free(&first);
    alarm(120); /* what never comes is a failure as well */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
