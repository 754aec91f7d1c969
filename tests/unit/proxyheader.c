/* proxy/proxyheader: the bytes are those of HAProxy's specification. */
#include "proxy/proxyheader.h"

#include <arpa/inet.h>
#include <string.h>

#include "help.h"

static const struct addr none = {0};

static struct addr ip(const char *text, uint16_t port)
{
    struct addr a;

    assert_true(addr_from_ip(&a, text, port));
    return a;
}

static struct addr path(const char *text)
{
    struct addr a;

    assert_true(addr_from_unix(&a, text));
    return a;
}

static struct addr unnamed(void)
{
    return (struct addr){.len = sizeof(sa_family_t), .sa = {.sa_family = AF_UNIX}};
}

static void version_1_is_a_line(void **state)
{
    static const struct {
        const char *client;
        uint16_t client_port;
        const char *listener;
        uint16_t port;
        const char *line;
    } rows[] = {
        {"127.0.0.2", 50001, "127.0.0.1", 8443, "PROXY TCP4 127.0.0.2 127.0.0.1 50001 8443\r\n"},
        {"255.255.255.255", 65535, "255.255.255.255", 65535,
         "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"},
        {"2001:db8::1", 1, "::1", 2, "PROXY TCP6 2001:db8::1 ::1 1 2\r\n"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535,
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535,
         "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"},
        /* IPv4 clients of a listener on :: */
        {"::ffff:192.0.2.1", 1, "::ffff:192.0.2.2", 2, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"},
        {"192.0.2.1", 1, "::1", 2, "PROXY UNKNOWN\r\n"},
        {"fe80::1%lo", 1, "fe80::2%lo", 2, "PROXY TCP6 fe80::1 fe80::2 1 2\r\n"},
    };
    uint8_t out[PROXYHEADER_MAX];
    size_t i, n;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        const struct addr client = ip(rows[i].client, rows[i].client_port);
        const struct addr listener = ip(rows[i].listener, rows[i].port);

        n = proxyheader_make(SEND_PROXY_V1, &client, &listener, out);
        assert_int_equal(n, strlen(rows[i].line));
        assert_memory_equal(out, rows[i].line, n);
        assert_true(n <= 107); /* the maximum of the specification */
    }
}

static void version_1_has_no_words_for_other_clients(void **state)
{
    const struct addr named = path("/run/a.sock"), client = unnamed();
    uint8_t out[PROXYHEADER_MAX];
    size_t n;

    (void)state;
    n = proxyheader_make(SEND_PROXY_V1, &client, &named, out);
    assert_int_equal(n, 15);
    assert_memory_equal(out, "PROXY UNKNOWN\r\n", 15);
    n = proxyheader_make(SEND_PROXY_V1, &none, &none, out);
    assert_int_equal(n, 15);
    assert_memory_equal(out, "PROXY UNKNOWN\r\n", 15);
}

/* Section 2.2: what every header of version 2 begins with. Returns the length of the addresses. */
static size_t check_v2(const uint8_t *h, size_t n, uint8_t command, uint8_t family)
{
    assert_true(n >= 16);
    assert_memory_equal(h, "\r\n\r\n\0\r\nQUIT\n", 12);
    assert_int_equal(h[12], 0x20 | command);
    assert_int_equal(h[13], family);
    assert_int_equal(h[14] << 8 | h[15], n - 16);
    return n - 16;
}

static void version_2_has_the_addresses_of_both_ends(void **state)
{
    struct addr client = ip("192.0.2.1", 0x1234), listener = ip("192.0.2.2", 0x5678);
    uint8_t out[PROXYHEADER_MAX];
    char text[INET6_ADDRSTRLEN];
    size_t n;

    (void)state;
    n = proxyheader_make(SEND_PROXY_V2, &client, &listener, out);
    assert_int_equal(check_v2(out, n, 1, 0x11), 12);
    assert_memory_equal(out + 16, "\xc0\0\2\1\xc0\0\2\2\x12\x34\x56\x78", 12);

    client = ip("::ffff:192.0.2.1", 0x1234);
    listener = ip("::ffff:192.0.2.2", 0x5678);
    n = proxyheader_make(SEND_PROXY_V2, &client, &listener, out);
    assert_int_equal(check_v2(out, n, 1, 0x11), 12);
    assert_memory_equal(out + 16, "\xc0\0\2\1\xc0\0\2\2\x12\x34\x56\x78", 12);

    client = ip("2001:db8::1", 0x1234);
    listener = ip("2001:db8::2", 0x5678);
    n = proxyheader_make(SEND_PROXY_V2, &client, &listener, out);
    assert_int_equal(check_v2(out, n, 1, 0x21), 36);
    assert_string_equal(inet_ntop(AF_INET6, out + 16, text, sizeof(text)), "2001:db8::1");
    assert_string_equal(inet_ntop(AF_INET6, out + 32, text, sizeof(text)), "2001:db8::2");
    assert_memory_equal(out + 48, "\x12\x34\x56\x78", 4);
}

/* HAProxy closes a connection with the family of Unix sockets. */
static void a_unix_client_is_local(void **state)
{
    const struct addr listener = path("/run/a.sock"), client = unnamed();
    uint8_t out[PROXYHEADER_MAX];
    size_t n;

    (void)state;
    n = proxyheader_make(SEND_PROXY_V2, &client, &listener, out);
    assert_int_equal(check_v2(out, n, 0, 0), 0);
}

static void a_connection_of_the_proxy_itself_is_local(void **state)
{
    const struct addr listener = ip("127.0.0.1", 443), other = ip("::1", 443);
    uint8_t out[PROXYHEADER_MAX];
    size_t n;

    (void)state;
    n = proxyheader_make(SEND_PROXY_V2, &none, &none, out);
    assert_int_equal(check_v2(out, n, 0, 0), 0);
    n = proxyheader_make(SEND_PROXY_V2, &none, &listener, out);
    assert_int_equal(check_v2(out, n, 0, 0), 0);
    n = proxyheader_make(SEND_PROXY_V2, &listener, &other, out); /* no pair */
    assert_int_equal(check_v2(out, n, 0, 0), 0);
}

static void off_is_no_header(void **state)
{
    const struct addr a = ip("127.0.0.1", 1);
    uint8_t out[PROXYHEADER_MAX];

    (void)state;
    assert_int_equal(proxyheader_make(SEND_PROXY_OFF, &a, &a, out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_1_is_a_line),
        cmocka_unit_test(version_1_has_no_words_for_other_clients),
        cmocka_unit_test(version_2_has_the_addresses_of_both_ends),
        cmocka_unit_test(a_unix_client_is_local),
        cmocka_unit_test(a_connection_of_the_proxy_itself_is_local),
        cmocka_unit_test(off_is_no_header),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
