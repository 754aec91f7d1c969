/* base/hostname: what may be dialled, sent as SNI and compared with certificates. */
#include "base/hostname.h"

#include <stdio.h>
#include <string.h>

#include "help.h"

static void names_and_ip_literals_are_taken(void **state)
{
    static const char *const rows[] = {
        "a",
        "localhost",
        "api.example.com",
        "api.example.com.",
        "xn--bcher-kva.example",
        "a_b.c",
        "a-b.c",
        "1a",
        "3com.com",
        "1.2.3.4.example",
        "127.0.0.1",
        "::1",
        "2001:db8::1",
        "EXAMPLE.com",
        "fe80::1%lo",
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++)
        if (hostname_check(rows[i]))
            fail_msg("'%s' %s", rows[i], hostname_check(rows[i]));
}

/* Each of these switches a check off in OpenSSL, or is read in two ways. */
static void dangerous_names_are_refused(void **state)
{
    static const struct {
        const char *name, *why;
    } rows[] = {
        {"", "is empty"},
        {".", "starts with a dot"},
        {".example.com", "starts with a dot"},
        {"..", "starts with a dot"},
        {"a..b", "has an empty label"},
        {"a..", "empty label"},
        {"b\xc3\xbc"
         "cher.example",
         "xn--"},
        {"b\xfc"
         "cher.example",
         "xn--"},
        {"*.example.com", "wildcard"},
        {"*", "wildcard"},
        {"a.*.example.com", "wildcard"},
        {"exam ple.com", "character"},
        {"example.com ", "character"},
        {"a\tb", "character"},
        {"a\nb", "character"},
        {"a/b", "character"},
        {"a:443", "character"},
        {"[::1]", "character"},
        {"user@host", "character"},
        {"a\x01", "character"},
        {"a\x7f", "character"},
        {"127.1", "neither"},
        {"1.2.3.400", "neither"},
        {"1.2.3.4.5", "neither"},
        {"2130706433", "neither"},
        {"127.0.0.1.", "neither"},
        {"example.123", "neither"},
        {"fe80::1%no-such-interface", "no network interface"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        const char *why = hostname_check(rows[i].name);

        if (!why)
            fail_msg("'%s' was taken", rows[i].name);
        assert_contains(why, rows[i].why);
    }
}

/* getaddrinfo(3) reads hexadecimal numbers as addresses, so these name no host. */
static void hexadecimal_addresses_are_not_host_names(void **state)
{
    static const char *const rows[] = {"0x7f000001", "0x7f.1", "127.0.0.0x1", "0X7F.0.0.0X1"};
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++)
        if (!hostname_check(rows[i]))
            fail_msg("'%s' was taken for a host name", rows[i]);
}

static void a_label_has_at_most_63_characters(void **state)
{
    char name[80];

    (void)state;
    snprintf(name, sizeof(name), "%.*d.com", 63, 0);
    memset(name, 'a', 63);
    assert_null(hostname_check(name));
    snprintf(name, sizeof(name), "%.*d.com", 64, 0);
    memset(name, 'a', 64);
    assert_contains(hostname_check(name), "63");
}

static void a_name_has_at_most_253_characters(void **state)
{
    char name[260];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(name); i++)
        name[i] = i % 50 == 49 ? '.' : 'a';
    name[253] = '\0';
    assert_null(hostname_check(name));
    name[253] = '.';
    name[254] = '\0';
    assert_null(hostname_check(name)); /* the trailing dot is not counted */
    name[253] = 'a';
    assert_contains(hostname_check(name), "253");
    name[254] = '.';
    name[255] = '\0';
    assert_contains(hostname_check(name), "253");
}

static void ip_literals_are_known(void **state)
{
    (void)state;
    assert_true(hostname_is_ip("127.0.0.1"));
    assert_true(hostname_is_ip("::1"));
    assert_false(hostname_is_ip("[::1]"));
    assert_false(hostname_is_ip("127.1"));
    assert_false(hostname_is_ip("localhost"));
    assert_false(hostname_is_ip(""));
}

static void names_are_compared_as_dns_does(void **state)
{
    (void)state;
    assert_int_equal(hostname_compare("a.example", "A.Example."), 0);
    assert_int_equal(hostname_compare("a.example.", "a.example"), 0);
    assert_int_equal(hostname_compare("", ""), 0);
    assert_int_not_equal(hostname_compare("a", ""), 0);
    assert_int_not_equal(hostname_compare(".", ""), 0);
    assert_int_not_equal(hostname_compare("a.example..", "a.example"), 0);
    assert_true(hostname_compare("a.example", "a.example2.") < 0);
    assert_true(hostname_compare("a.example2", "a.example.") > 0);
    assert_true(hostname_compare("b", "a.") > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_ip_literals_are_taken),
        cmocka_unit_test(dangerous_names_are_refused),
        cmocka_unit_test(hexadecimal_addresses_are_not_host_names),
        cmocka_unit_test(a_label_has_at_most_63_characters),
        cmocka_unit_test(a_name_has_at_most_253_characters),
        cmocka_unit_test(ip_literals_are_known),
        cmocka_unit_test(names_are_compared_as_dns_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
