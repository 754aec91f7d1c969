/* config/values: each kind of value is read, or refused with what was expected. */
#include "config/values.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/options.h"
#include "configs.h"
#include "help.h"

struct row {
    const char *key, *value, *part; /* part NULL: taken */
};

static void try_rows(const struct row *rows, size_t n, enum option_scope scope)
{
    struct arena arena = {0};
    const struct value_context ctx = {.arena = &arena, .where = {"x", 1}, .dir = "/etc/pp"};
    size_t i;

    for (i = 0; i < n; i++) {
        const struct option_row *o = options_find(rows[i].key, scope);
        union {
            struct config_global g;
            struct config_section s;
        } target, zero;
        const char *why;

        memset(&target, 0, sizeof(target));
        memset(&zero, 0, sizeof(zero));
        assert_non_null(o);
        why = options_set(o, &target, &ctx, rows[i].value);
        if (!rows[i].part && why)
            fail_msg("%s", why);
        if (rows[i].part && !why)
            fail_msg("%s = %s was taken", rows[i].key, rows[i].value);
        if (!rows[i].part)
            continue;
        assert_contains(why, rows[i].part);
        assert_contains(why, rows[i].key);
        assert_memory_equal(&target, &zero, sizeof(zero));
    }
    arena_free(&arena);
}

static void values_of_global_options_are_checked(void **state)
{
    static const struct row rows[] = {
        {"workers", "1", NULL},
        {"workers", "256", NULL},
        {"workers", "0", "1 to 256"},
        {"workers", "257", "1 to 256"},
        {"workers", "", "1 to 256"},
        {"log_level", "debug", NULL},
        {"log_level", "silent", "one of: error"},
        {"log_level", "verbose", "one of: error"},
        {"log_format", "json", NULL},
        {"log_format", "journal", "not supported yet"},
        {"log_format", "xml", "one of: auto, text, json"},
        {"user", "", "a user"},
        {"user", "root", NULL},
        {"user", "no-such-user", "a user"},
        {"group", "no-such-group", "a group"},
        {"max_connections", "10000001", "10000000"},
        {"drain_timeout", "30x", "a duration"},
        {"remote_clients", "maybe", "yes or no"},
    };

    (void)state;
    try_rows(rows, COUNT(rows), OPTION_GLOBAL);
}

static void values_of_section_options_are_checked(void **state)
{
    static const struct row rows[] = {
        {"host", "api.example.com", NULL},
        {"host", "", "is empty"},
        {"host", ".example.com", "dot"},
        {"host", "*.example.com", "wildcard"},
        {"verify_name", ".example.com", "dot"},
        {"verify_name", "", "is empty"},
        {"verify_name", "spiffe://Example.org/a", "lower case"},
        {"verify_name", "SPIFFE://example.org/a", "lower case"},
        {"verify_name", "spiffe://example.org/", "slash"},
        {"port", "0", "1 to 65535"},
        {"port", "65536", "1 to 65535"},
        {"port", "https", "1 to 65535"},
        {"address", "192.0.2.1", NULL},
        {"address", "[2001:db8::1]:8443", NULL},
        {"address", "2001:db8::1", NULL},
        {"address", "name.example:8443", NULL},
        {"address", "192.0.2.1:0", "port"},
        {"address", "", "HOST"},
        {"address", "a b", "a line of its own"},
        {"address", "192.0.2.1, 192.0.2.2", "a line of its own"},
        {"address", "[::1]:443, ::2", "a line of its own"},
        {"address", "a_b!", "character"},
        {"address", "a:b:c", "character"},
        {"family", "ipv6", NULL},
        {"family", "ipv5", "one of: any, ipv4, ipv6"},
        {"bind", "::1", NULL},
        {"bind", "localhost", "an IP address"},
        {"bind", "::ffff:127.0.0.1", "expected 127.0.0.1"},
        {"bind", "127.0.0.1:80", "an IP address"},
        {"via", "tcp", NULL},
        {"via", "socks5://127.0.0.1:1080", NULL},
        {"via", "unix:/run/db.sock", NULL},
        {"via", "exec:no-such-program", "No such file"},
        {"via", "udp", "expected tcp"},
        {"listen", "systemd:name", "not supported yet"},
        {"verify", "pin+pki", NULL},
        {"verify", "PKI", NULL},
        {"verify", "tofu", NULL},
        {"verify", "tofu+pki", NULL},
        {"verify", "dane", "not supported yet"},
        {"verify", "none", "never accepted without a check"},
        {"verify", "pins", "one of: pin, pin+pki, pki"},
        {"verify", "2", "'pki' against the CAs"},
        {"client", "yes", "always the TLS client"},
        {"tls_min", "TLSv1.3", "tls_min = 1.3"},
        {"verify", "!tofu", "one of:"},
        {"verify", "", "one of:"},
        {"pin", "nonsense", "expected"},
        {"revoked", "cert:x.pem", "revoke the key"},
        {"revoked", "issuer-cert:x.pem", "revoke the key"},
        {"enforce", "yes", NULL},
        {"enforce", "report", NULL},
        {"enforce", "Report until=2027-01-31", NULL},
        {"enforce", "report until=2027-02-30", "date that exists"},
        {"enforce", "reportuntil=2027-01-31", "expected yes, or report"},
        {"enforce", "report 2027-01-31", "expected yes, or report"},
        {"enforce", "no", "refused or reported"},
        {"on_pin_removed", "close", NULL},
        {"on_pin_removed", "maybe", "one of: keep, close"},
        {"pins_url", "/.well-known/pins?x=1", NULL},
        {"pins_url", "pins", "begins with a slash"},
        {"pins_url", "https://a.example/pins", "begins with a slash"},
        {"pins_url", "/a b", "without blanks"},
        {"pins_url", "/a\r\nX-Evil: 1", "without blanks"},
        {"pins_url", "", "begins with a slash"},
        {"crl_file", "list.crl", NULL},
        {"crl_file", "", "expected a path"},
        {"ocsp", "staple", NULL},
        {"ocsp", "must", "one of: off, staple"},
        {"resume", "yes", NULL},
        {"resume", "once", "yes or no"},
        {"also_check", "name", NULL},
        {"also_check", "name, dates", NULL},
        {"also_check", "", "name or dates"},
        {"also_check", "name issuer", "name or dates"},
        {"ca_file", "", "a path"},
        {"ca_dir", "", "a path"},
        {"sni", "off", NULL},
        {"sni", "OFF", NULL},
        {"sni", "other.example", NULL},
        {"sni", "192.0.2.1", "RFC 6066"},
        {"sni", "", "is empty"},
        {"sni", "*.example", "wildcard"},
        {"tls_min", "1.3", NULL},
        {"tls_min", "1.1", "below 1.2"},
        {"tls_min", "none", "one of: 1.2, 1.3"},
        {"tls_min", "ssl3", "one of"},
        {"tls_max", "none", NULL},
        {"tls_max", "1.0", "below 1.2"},
        {"ciphers", "", "a value"},
        {"alpn", "h2", NULL},
        {"alpn", "h2,http/1.1", "a line of its own"},
        {"alpn", "h2 http/1.1", "a line of its own"},
        {"alpn", "", "protocol"},
        {"truncation", "allow", NULL},
        {"truncation", "ignore", "one of: reset, allow"},
        {"connect_timeout", "-1s", "a duration"},
        {"idle_timeout", "forever", "a duration"},
        {"keepalive", "3651d", "a duration"},
        {"dns_ttl", "1 s", "a duration"},
    };

    (void)state;
    try_rows(rows, COUNT(rows), OPTION_HOST);
}

static void relative_paths_start_at_the_configuration(void **state)
{
    struct arena arena = {0};
    const struct value_context ctx = {.arena = &arena, .where = {"x", 1}, .dir = "/etc/pp"};
    struct config_section s = {0};

    (void)state;
    assert_null(options_set(options_find("ca_file", OPTION_HOST), &s, &ctx, "ca.pem"));
    assert_null(options_set(options_find("ca_file", OPTION_HOST), &s, &ctx, "/ca.pem"));
    assert_null(
        options_set(options_find("listen", OPTION_HOST), &s, &ctx, "unix:x.sock,mode=0600"));
    assert_int_equal(s.ca_file.count, 2);
    assert_string_equal(s.ca_file.items[0].text, "/etc/pp/ca.pem");
    assert_string_equal(s.ca_file.items[1].text, "/ca.pem");
    assert_string_equal(s.listen.items[0].addr.un.sun_path, "/etc/pp/x.sock");
    assert_int_equal(s.listen.items[0].mode, 0600);
    assert_string_equal(s.listen.items[0].text, "unix:x.sock,mode=0600");
    arena_free(&arena);
}

static void limits_that_must_exist_cannot_be_turned_off(void **state)
{
    static const char *const never[] = {"connect_timeout", "handshake_timeout"};
    static const char *const zero[] = {"0", "0s", "0ms", "off", "OFF"};
    struct config *c;
    char text[128];
    size_t i, j;

    (void)state;
    for (i = 0; i < COUNT(never); i++) {
        for (j = 0; j < COUNT(zero); j++) {
            snprintf(text, sizeof(text), "[a.example]\npin = " A "\n%s = %s\n", never[i], zero[j]);
            refuse(text, 3, "expected a duration");
        }
    }
    refuse("[a.example]\npin = " A "\ndns_ttl = off\n", 3, "no 'off'");
    refuse("[global]\ndrain_timeout = off\n[a.example]\npin = " A "\n", 2, "no 'off'");
    c = take("[global]\ndrain_timeout = 0\n[a.example]\npin = " A "\ndns_ttl = 0\n"
             "idle_timeout = 0\nhalf_close_timeout = off\nkeepalive = off\n");
    assert_int_equal(c->global.drain_timeout, 0);
    assert_int_equal(c->sections[0]->dns_ttl, 0);
    assert_int_equal(c->sections[0]->keepalive, 0);
    config_free(c);
}

/* Day 0 stands for no end at all. */
static void a_report_ends_after_1970(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A "\nverify = pin+pki\nenforce = report until=1970-01-01\n", 4,
           "after 1970");
    refuse("[a.example]\npin = " A "\nverify = pin+pki\nenforce = report until=1969-12-31\n", 4,
           "after 1970");
    config_free(
        take("[a.example]\npin = " A "\nverify = pin+pki\nenforce = report until=1970-01-02\n"));
}

static void a_default_that_is_named_says_to_leave_the_line_out(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A "\nverify_name = host\n", 3, "leave this line out");
    refuse("[a.example]\npin = " A "\nverify_name = off\n", 3, "verify = pin");
    refuse("[defaults]\nsni = Host\n[a.example]\npin = " A "\n", 2, "leave this line out");
    refuse("[a.example]\npin = " A "\nsni = none\n", 3, "sni = off");
    config_free(take("[host]\npin = " A "\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_global_options_are_checked),
        cmocka_unit_test(values_of_section_options_are_checked),
        cmocka_unit_test(relative_paths_start_at_the_configuration),
        cmocka_unit_test(limits_that_must_exist_cannot_be_turned_off),
        cmocka_unit_test(a_report_ends_after_1970),
        cmocka_unit_test(a_default_that_is_named_says_to_leave_the_line_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
