/* base/addr: socket addresses, read and printed. */
#include "base/addr.h"

#include <string.h>

#include "help.h"

static void addresses_are_split_into_host_and_port(void **state)
{
    static const struct {
        const char *text, *host;
        uint16_t port; /* 7: left alone */
    } rows[] = {
        {"example.com", "example.com", 7},
        {"example.com:443", "example.com", 443},
        {"127.0.0.1:1", "127.0.0.1", 1},
        {"127.0.0.1:65535", "127.0.0.1", 65535},
        {"[::1]:443", "::1", 443},
        {"[::1]", "::1", 7},
        {"::1", "::1", 7},
        {"2001:db8::1:443", "2001:db8::1:443", 7},
        {"fe80::1%lo", "fe80::1%lo", 7},
        {"[fe80::1%lo]:22", "fe80::1%lo", 22},
    };
    char host[64];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        uint16_t port = 7;

        assert_null(addr_split(rows[i].text, host, sizeof(host), &port));
        assert_string_equal(host, rows[i].host);
        assert_int_equal(port, rows[i].port);
    }
}

static void half_addresses_are_refused(void **state)
{
    static const char *const rows[] = {
        "",
        ":443",
        "host:",
        "host:0",
        "host:65536",
        "host:-1",
        "host:+443",
        "host: 443",
        "host:443 ",
        "host:https",
        "[::1",
        "[::1]443",
        "[]:443",
        "[]",
        "[::1]:",
        "[::1]:0",
        "host:4294967739",
        "host:443x",
    };
    char host[64] = "untouched";
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        uint16_t port = 7;

        if (!addr_split(rows[i], host, sizeof(host), &port))
            fail_msg("'%s' was split into '%s' and %u", rows[i], host, port);
        assert_int_equal(port, 7);
        assert_string_equal(host, "untouched");
    }
}

static void a_host_that_does_not_fit_is_not_cut(void **state)
{
    char host[5];
    uint16_t port = 0;

    (void)state;
    assert_null(addr_split("abcd:1", host, sizeof(host), &port));
    assert_string_equal(host, "abcd");
    assert_non_null(addr_split("abcde:1", host, sizeof(host), &port));
    assert_non_null(addr_split("[abcde]:1", host, sizeof(host), &port));
}

static void only_whole_literals_are_ip_addresses(void **state)
{
    static const char *const wrong[] = {
        "",
        "127.1",
        "1.2.3.4.5",
        "1.2.3",
        "256.1.1.1",
        "01.2.3.4",
        "0x7f.1",
        "[::1]",
        "::1]",
        ":::",
        "fe80::1%",
        "127.0.0.1%lo",
        "1.2.3.4 ",
        " ::1",
        "localhost",
        "fe80::1%no-such-interface",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd:eeee%lo",
    };
    static const char *const right[] = {"0.0.0.0",    "127.0.0.1",        "::",         "::1",
                                        "fe80::1%lo", "::ffff:127.0.0.1", "2001:db8::1"};
    struct addr a;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(wrong); i++)
        if (addr_from_ip(&a, wrong[i], 1))
            fail_msg("'%s' was taken as an IP address", wrong[i]);
    for (i = 0; i < COUNT(right); i++)
        if (!addr_from_ip(&a, right[i], 1))
            fail_msg("'%s' was not taken as an IP address", right[i]);
}

static void addresses_print_as_they_are_written(void **state)
{
    char text[ADDR_TEXT_SIZE];
    struct addr a = {0}, b;

    (void)state;
    assert_string_equal(addr_format(&a, text), "-");
    assert_true(addr_from_ip(&a, "192.0.2.1", 443));
    assert_string_equal(addr_format(&a, text), "192.0.2.1:443");
    assert_string_equal(addr_format_ip(&a, text), "192.0.2.1");
    addr_set_port(&a, 8443);
    assert_int_equal(addr_port(&a), 8443);
    assert_true(addr_from_ip(&a, "2001:DB8::0:1", 443));
    assert_string_equal(addr_format(&a, text), "[2001:db8::1]:443");
    assert_string_equal(addr_format_ip(&a, text), "2001:db8::1");
    addr_set_port(&a, 1);
    assert_int_equal(addr_port(&a), 1);
    assert_true(addr_from_ip(&a, "fe80::1%lo", 443));
    assert_string_equal(addr_format(&a, text), "[fe80::1%1]:443");
    assert_true(addr_from_ip(&b, "fe80::1", 443));
    assert_false(addr_equal(&a, &b));
    assert_true(addr_from_unix(&a, "/run/x.sock"));
    assert_string_equal(addr_format(&a, text), "unix:/run/x.sock");
    assert_string_equal(addr_format_ip(&a, text), "?");
    assert_int_equal(addr_port(&a), 0);
    addr_set_port(&a, 1);
    assert_string_equal(addr_format(&a, text), "unix:/run/x.sock");
}

static void a_unix_path_that_does_not_fit_is_refused(void **state)
{
    char path[110], text[ADDR_TEXT_SIZE], want[120] = "unix:";
    struct addr a;

    (void)state;
    memset(path, 'x', sizeof(path));
    path[107] = '\0';
    assert_true(addr_from_unix(&a, path));
    strcat(want, path);
    assert_string_equal(addr_format(&a, text), want);
    path[107] = 'x';
    path[108] = '\0';
    assert_false(addr_from_unix(&a, path));
}

static void what_the_kernel_says_of_a_peer_stays_in_bounds(void **state)
{
    struct {
        struct sockaddr_un un;
        char more[8];
    } raw;
    char text[ADDR_TEXT_SIZE];
    struct addr a, b;

    (void)state;
    memset(&raw, 'x', sizeof(raw));
    raw.un.sun_family = AF_UNIX;
    /* a path without a NUL, and more of it than fits */
    addr_from_sockaddr(&a, (const struct sockaddr *)&raw, sizeof(raw));
    assert_int_equal(strlen(addr_format(&a, text)), 5 + sizeof(raw.un.sun_path));
    /* an unnamed peer: the family alone */
    addr_from_sockaddr(&a, (const struct sockaddr *)&raw, sizeof(sa_family_t));
    assert_string_equal(addr_format(&a, text), "unix:");
    /* accept(2) leaves the rest as it was */
    memset(&a, 'x', sizeof(a));
    a.un.sun_family = AF_UNIX;
    a.len = sizeof(sa_family_t);
    assert_string_equal(addr_format(&a, text), "unix:");
    memset(&b, 'y', sizeof(b));
    b.un.sun_family = AF_UNIX;
    b.len = sizeof(sa_family_t);
    assert_true(addr_equal(&a, &b));
}

static void loopback_is_distinguished_from_other_addresses(void **state)
{
    static const char *const in[] = {"127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1"};
    static const char *const out[] = {
        "126.0.0.1", "128.0.0.1",  "0.0.0.0", "::",         "::ffff:10.0.0.1",
        "1.0.0.127", "fe80::1%lo", "::2",     "::127.0.0.1"};
    struct addr a;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(in); i++) {
        assert_true(addr_from_ip(&a, in[i], 1));
        assert_true(addr_is_loopback(&a));
    }
    for (i = 0; i < COUNT(out); i++) {
        assert_true(addr_from_ip(&a, out[i], 1));
        if (addr_is_loopback(&a))
            fail_msg("%s passes for loopback", out[i]);
    }
    assert_true(addr_from_unix(&a, "/x"));
    assert_true(addr_is_loopback(&a));
}

static void equal_means_address_and_port(void **state)
{
    struct addr a, b;

    (void)state;
    assert_true(addr_from_ip(&a, "127.0.0.1", 1) && addr_from_ip(&b, "127.0.0.1", 1));
    assert_true(addr_equal(&a, &b));
    addr_set_port(&b, 2);
    assert_false(addr_equal(&a, &b));
    assert_true(addr_from_ip(&b, "::ffff:127.0.0.1", 1));
    assert_false(addr_equal(&a, &b));
    assert_true(addr_from_ip(&a, "127.0.0.2", 1));
    assert_true(addr_from_ip(&b, "127.0.0.1", 1));
    assert_false(addr_equal(&a, &b));
    assert_true(addr_from_ip(&a, "fe80::1", 1) && addr_from_ip(&b, "fe80::1", 1));
    assert_true(addr_equal(&a, &b));
    b.in6.sin6_scope_id = 2;
    assert_false(addr_equal(&a, &b));
    assert_true(addr_from_ip(&b, "fe80::1", 2));
    assert_false(addr_equal(&a, &b));
    assert_true(addr_from_ip(&b, "fe80::2", 1));
    assert_false(addr_equal(&a, &b));
    assert_true(addr_from_unix(&a, "/a") && addr_from_unix(&b, "/b"));
    assert_false(addr_equal(&a, &b));
    assert_true(addr_from_unix(&b, "/a"));
    assert_true(addr_equal(&a, &b));
    memset(&b, 0, sizeof(b));
    assert_false(addr_equal(&a, &b));
}

static void a_listener_covers_its_address_or_all_of_a_family(void **state)
{
    static const struct {
        const char *bound, *to;
        uint16_t port;
        bool covers;
    } rows[] = {
        {"127.0.0.1", "127.0.0.1", 80, true},
        {"127.0.0.1", "127.0.0.2", 80, false},
        {"127.0.0.1", "127.0.0.1", 81, false},
        {"0.0.0.0", "127.0.0.1", 80, true},
        {"0.0.0.0", "192.0.2.1", 80, true},
        {"0.0.0.0", "192.0.2.1", 81, false},
        {"0.0.0.0", "::1", 80, false},
        {"::", "::1", 80, true},
        {"::", "127.0.0.1", 80, false},
        {"::", "2001:db8::1", 81, false},
        {"::1%lo", "::1", 80, true},
        {"fe80::1%lo", "fe80::1", 80, false},
        {"0.0.0.0", "::ffff:127.0.0.1", 80, true},
    };
    struct addr bound, to;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        assert_true(addr_from_ip(&bound, rows[i].bound, 80));
        assert_true(addr_from_ip(&to, rows[i].to, rows[i].port));
        addr_unmap(&to);
        if (addr_covers(&bound, &to) != rows[i].covers)
            fail_msg("%s covers %s, port %u: not so", rows[i].bound, rows[i].to, rows[i].port);
    }
    assert_true(addr_from_unix(&bound, "/a") && addr_from_unix(&to, "/a"));
    assert_true(addr_covers(&bound, &to));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_split_into_host_and_port),
        cmocka_unit_test(half_addresses_are_refused),
        cmocka_unit_test(a_host_that_does_not_fit_is_not_cut),
        cmocka_unit_test(only_whole_literals_are_ip_addresses),
        cmocka_unit_test(addresses_print_as_they_are_written),
        cmocka_unit_test(a_unix_path_that_does_not_fit_is_refused),
        cmocka_unit_test(what_the_kernel_says_of_a_peer_stays_in_bounds),
        cmocka_unit_test(loopback_is_distinguished_from_other_addresses),
        cmocka_unit_test(equal_means_address_and_port),
        cmocka_unit_test(a_listener_covers_its_address_or_all_of_a_family),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
