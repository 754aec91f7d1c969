/* net/dial: what is connected to, what is not, and what is said of it. */
#include "net/dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dialing.h"

static void an_ip_address_is_connected_to(void **state)
{
    struct dialing *c;
    uint16_t port;
    int listener, on = 0;
    socklen_t len = sizeof(on);

    (void)state;
    listener = dialing_listen("127.0.0.1", &port);
    c = dialing_new("127.0.0.1", port);
    c->section->keepalive = 60000;
    dialing_start(c);
    dialing_finish();
    assert_int_equal(getsockopt(dialing_result.fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
    assert_int_equal(on, 1);
    assert_int_equal(getsockopt(dialing_result.fd, SOL_SOCKET, SO_KEEPALIVE, &on, &len), 0);
    assert_int_equal(on, 1);
    dialing_assert_connected(listener, port);
    assert_int_equal(names_asked(), 0);
    close(listener);
}

static void an_ipv6_address_is_connected_to(void **state)
{
    struct dialing *c;
    uint16_t port;
    int listener;

    (void)state;
    if (access("/proc/net/if_inet6", F_OK) != 0)
        skip();
    listener = dialing_listen("::1", &port);
    c = dialing_new("::1", port);
    dialing_start(c);
    dialing_finish();
    assert_int_equal(dialing_result.peer.sa.sa_family, AF_INET6);
    dialing_assert_connected(listener, port);
    close(listener);
}

static void a_refusal_is_reported_as_one(void **state)
{
    struct dialing *c;
    uint16_t port;
    char text[64];
    int fd;

    (void)state;
    fd = dialing_refuse("127.0.0.1", &port);
    c = dialing_new("127.0.0.1", port);
    dialing_start(c);
    dialing_finish();
    snprintf(text, sizeof(text), "127.0.0.1:%u: Connection refused", port);
    dialing_assert_failed(REASON_CONNECT, text);
    close(fd);
}

static void addresses_are_tried_in_turn(void **state)
{
    int listener, refused, second;
    uint16_t port, no, other;
    struct dialing *c;

    (void)state;
    refused = dialing_refuse("127.0.0.1", &no);
    listener = dialing_listen("127.0.0.1", &port);
    second = dialing_listen("127.0.0.1", &other);
    c = dialing_new("unused.example", 1);
    dialing_add(c, "127.0.0.1", no);
    dialing_add(c, "127.0.0.1", port);
    dialing_add(c, "127.0.0.1", other);
    dialing_start(c);
    dialing_finish();
    dialing_assert_connected(listener, port);
    /* in turn: what stands behind is left alone */
    assert_int_equal(accept(second, NULL, NULL), -1);
    assert_int_equal(names_asked(), 0);
    close(second);
    close(listener);
    close(refused);
}

static void an_address_without_a_port_has_the_sections(void **state)
{
    struct dialing *c;
    uint16_t port;
    int listener;

    (void)state;
    listener = dialing_listen("127.0.0.1", &port);
    c = dialing_new("unused.example", port);
    dialing_add(c, "127.0.0.1", 0);
    dialing_start(c);
    dialing_finish();
    dialing_assert_connected(listener, port);
    close(listener);
}

static void a_failure_lists_what_was_tried(void **state)
{
    uint16_t a, b;
    struct dialing *c;
    char text[64];
    int first, second;

    (void)state;
    names_set("nonexistent.invalid", NULL);
    first = dialing_refuse("127.0.0.1", &a);
    second = dialing_refuse("127.0.0.2", &b);
    c = dialing_new("unused.example", 1);
    dialing_add(c, "127.0.0.1", a);
    dialing_add(c, "nonexistent.invalid", 1);
    dialing_add(c, "127.0.0.2", b);
    dialing_start(c);
    dialing_finish();
    snprintf(text, sizeof(text), "127.0.0.1:%u: Connection refused; nonexistent.invalid: ", a);
    dialing_assert_failed(REASON_CONNECT, text);
    snprintf(text, sizeof(text), "; 127.0.0.2:%u: Connection refused", b);
    assert_contains(dialing_result.detail, text);
    close(first);
    close(second);
}

static void a_list_of_failures_that_is_too_long_is_cut(void **state)
{
    struct dialing *c;
    uint16_t port;
    char ip[32];
    int i, fd;

    (void)state;
    fd = dialing_refuse("127.0.0.1", &port);
    c = dialing_new("unused.example", port);
    for (i = 0; i < 40; i++) {
        snprintf(ip, sizeof(ip), "127.0.0.%d", i + 1);
        dialing_add(c, ip, 0);
    }
    dialing_start(c);
    dialing_finish();
    dialing_assert_failed(REASON_CONNECT, "Connection refused");
    assert_true(strlen(dialing_result.detail) >= 500);
    assert_true(strlen(dialing_result.detail) < 512);
    close(fd);
}

static void a_name_that_is_not_found_is_a_failure_to_resolve(void **state)
{
    struct dialing *c;

    (void)state;
    names_set("nonexistent.invalid", NULL);
    c = dialing_new("nonexistent.invalid", 443);
    dialing_start(c);
    dialing_finish();
    dialing_assert_failed(REASON_RESOLVE, "nonexistent.invalid: ");
    assert_contains(dialing_result.detail, gai_strerror(EAI_NONAME));
}

/* "address = NAME:1, NAME:2": the second is asked for while the first is answered. */
static void the_same_name_may_be_tried_again(void **state)
{
    struct dialing *c;

    (void)state;
    names_set("nonexistent.invalid", NULL);
    c = dialing_new("unused.example", 443);
    dialing_add(c, "nonexistent.invalid", 1);
    dialing_add(c, "nonexistent.invalid", 2);
    dialing_add(c, "nonexistent.invalid", 3);
    dialing_start(c);
    dialing_finish();
    dialing_assert_failed(REASON_RESOLVE, "; nonexistent.invalid: ");
}

/* What refused tells more than a name that was not found, whichever came first. */
static void a_refusal_outweighs_a_name_that_is_not_found(void **state)
{
    struct dialing *c;
    uint16_t port;
    int fd, i;

    (void)state;
    names_set("nonexistent.invalid", NULL);
    fd = dialing_refuse("127.0.0.1", &port);
    for (i = 0; i < 2; i++) {
        c = dialing_new("unused.example", port);
        if (i == 0)
            dialing_add(c, "nonexistent.invalid", 0);
        dialing_add(c, "127.0.0.1", 0);
        if (i == 1)
            dialing_add(c, "nonexistent.invalid", 0);
        dialing_start(c);
        dialing_finish();
        dialing_assert_failed(REASON_CONNECT, "nonexistent.invalid: ");
        assert_contains(dialing_result.detail, "Connection refused");
    }
    close(fd);
}

static void all_addresses_of_a_name_are_tried(void **state)
{
    static const char *const ips[] = {"127.0.0.1", "127.0.0.2", "127.0.0.3"};
    int fds[DIALING_ADDRESSES_MAX], asked = 0, i;
    struct dialing *c;
    uint16_t port;

    (void)state;
    dialing_bind_all(ips, COUNT(ips), &port, fds);
    assert_int_equal(listen(fds[2], 8), 0);
    names_set("a.example", "127.0.0.1 127.0.0.2 127.0.0.3 127.0.0.4");
    for (i = 0; i < 2; i++) { /* the second time, the resolver knows */
        c = dialing_new("a.example", port);
        dialing_start(c);
        dialing_finish();
        dialing_assert_connected(fds[2], port);
        if (i == 0)
            asked = names_asked();
    }
    assert_int_equal(names_asked(), asked);
    dialing_close(fds, COUNT(ips));
}

static void only_the_wanted_family_is_tried(void **state)
{
    struct dialing *c;
    uint16_t port;
    int listener;

    (void)state;
    /* a literal of the wrong family */
    listener = dialing_listen("127.0.0.1", &port);
    c = dialing_new("127.0.0.1", port);
    c->section->family = FAMILY_IPV6;
    dialing_start(c);
    dialing_finish();
    dialing_assert_failed(REASON_RESOLVE,
                          "127.0.0.1: no IPv6 address, which family or bind requires");
    assert_int_equal(accept(listener, NULL, NULL), -1);

    c = dialing_new("unused.example", port);
    c->section->family = FAMILY_IPV4;
    dialing_add(c, "::1", 0);
    dialing_add(c, "127.0.0.1", 0);
    dialing_start(c);
    dialing_finish();
    dialing_assert_connected(listener, port);

    /* a name: the system is asked for that family, and what else it says is dropped */
    names_set("a.example", "::1 127.0.0.1");
    c = dialing_new("a.example", port);
    c->section->family = FAMILY_IPV4;
    dialing_start(c);
    dialing_finish();
    assert_int_equal(names_family(), AF_INET);
    dialing_assert_connected(listener, port);

    c = dialing_new("a.example", port);
    c->section->family = FAMILY_IPV6;
    dialing_start(c);
    dialing_finish();
    assert_int_equal(names_family(), AF_INET6);
    dialing_assert_failed(REASON_CONNECT, "[::1]:");
    assert_null(strstr(dialing_result.detail, "127.0.0.1"));
    close(listener);
}

static void the_local_address_is_the_wanted_one(void **state)
{
    struct addr from;
    socklen_t len = sizeof(from.in6);
    char text[ADDR_TEXT_SIZE];
    struct dialing *c;
    uint16_t port;
    int listener, fd;

    (void)state;
    listener = dialing_listen("127.0.0.1", &port);
    names_set("a.example", "::1 127.0.0.1");
    c = dialing_new("a.example", port);
    assert_true(addr_from_ip(&c->section->bind, "127.0.0.9", 0));
    dialing_start(c);
    dialing_finish();
    assert_int_equal(names_family(), AF_INET);
    fd = accept(listener, &from.sa, &len);
    assert_true(fd >= 0);
    from.len = len;
    assert_string_equal(addr_format_ip(&from, text), "127.0.0.9");
    close(fd);
    close(dialing_result.fd);

    /* one that this machine does not have */
    c = dialing_new("127.0.0.1", port);
    assert_true(addr_from_ip(&c->section->bind, "192.0.2.1", 0));
    dialing_start(c);
    dialing_finish();
    dialing_assert_failed(REASON_CONNECT, strerror(EADDRNOTAVAIL));
    close(listener);
}

/* With a source port that is the one dialled: nobody is there but ourselves. */
static void a_dial_that_meets_itself_is_no_connection(void **state)
{
    /* 0.0.0.0 leads to the address that the socket is bound to: any of this machine's is like it */
    static const char *const to[] = {"127.0.0.1", "0.0.0.0"};
    struct dialing *c;
    uint16_t port;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(to); i++) {
        close(dialing_refuse("127.0.0.1", &port));
        c = dialing_new(to[i], port);
        assert_true(addr_from_ip(&c->section->bind, "127.0.0.1", port));
        dialing_start(c);
        dialing_finish();
        dialing_assert_failed(REASON_CONNECT, "Connection refused");
    }
}

static void too_few_descriptors_are_a_limit_of_ours(void **state)
{
    struct rlimit limit, low;
    struct dialing *c;
    uint16_t port;
    int listener, next;

    (void)state;
    listener = dialing_listen("127.0.0.1", &port);
    next = dup(listener);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    low = limit;
    low.rlim_cur = (rlim_t)next;
    c = dialing_new("127.0.0.1", port);
    uv_run(&dialing_thread.loop, UV_RUN_NOWAIT); /* libuv has its own by now */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    dialing_start(c);
    uv_run(&dialing_thread.loop, UV_RUN_DEFAULT);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    dialing_assert_failed(REASON_FILES, strerror(EMFILE));
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DIALING_TEST(an_ip_address_is_connected_to),
        DIALING_TEST(an_ipv6_address_is_connected_to),
        DIALING_TEST(a_refusal_is_reported_as_one),
        DIALING_TEST(addresses_are_tried_in_turn),
        DIALING_TEST(an_address_without_a_port_has_the_sections),
        DIALING_TEST(a_failure_lists_what_was_tried),
        DIALING_TEST(a_list_of_failures_that_is_too_long_is_cut),
        DIALING_TEST(a_name_that_is_not_found_is_a_failure_to_resolve),
        DIALING_TEST(the_same_name_may_be_tried_again),
        DIALING_TEST(a_refusal_outweighs_a_name_that_is_not_found),
        DIALING_TEST(all_addresses_of_a_name_are_tried),
        DIALING_TEST(only_the_wanted_family_is_tried),
        DIALING_TEST(the_local_address_is_the_wanted_one),
        DIALING_TEST(a_dial_that_meets_itself_is_no_connection),
        DIALING_TEST(too_few_descriptors_are_a_limit_of_ours),
    };

    return cmocka_run_group_tests(tests, dialing_group_setup, names_group_teardown);
}
