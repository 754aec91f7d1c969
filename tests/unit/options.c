/* config/options: the table and its kinds of values. */
#include "config/options.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "help.h"

static void a_key_means_one_thing_in_each_scope(void **state)
{
    static const enum option_scope scopes[] = {OPTION_GLOBAL, OPTION_SECTION, OPTION_HOST};
    size_t i, j;

    (void)state;
    assert_true(options_count > 40 && options_count <= OPTIONS_MAX);
    for (i = 0; i < options_count; i++) {
        for (j = i + 1; j < options_count; j++)
            if ((options[i].scope == OPTION_GLOBAL) == (options[j].scope == OPTION_GLOBAL))
                assert_string_not_equal(options[i].name, options[j].name);
        for (j = 0; j < COUNT(scopes); j++) {
            const struct option_row *o = options_find(options[i].name, scopes[j]);

            if (options[i].scope == scopes[j])
                assert_ptr_equal(o, &options[i]);
        }
    }
    assert_ptr_equal(options_find("port", OPTION_HOST), options_find("port", OPTION_SECTION));
    assert_null(options_find("host", OPTION_SECTION));
    assert_null(options_find("port", OPTION_GLOBAL));
    assert_null(options_find("workers", OPTION_HOST));
    assert_null(options_find("", OPTION_GLOBAL));
}

static void every_row_can_be_used(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < options_count; i++) {
        const struct option_row *o = &options[i];
        const char *p;

        for (p = o->name; *p; p++)
            assert_true(islower((unsigned char)*p) || *p == '_');
        assert_true(o->help && *o->help && !strchr(o->help, '\n'));
        assert_true(o->help[strlen(o->help) - 1] != '.');
        if (o->flags & OPTION_LATER)
            continue;
        assert_true(o->kind || strcmp(o->name, "include") == 0);
        assert_true(o->size > 0 || strcmp(o->name, "include") == 0);
        assert_true(!o->kind || o->size == o->kind->size);
        assert_true(!o->size || o->kind->digest);
        assert_true(o->offset + o->size <= (o->scope == OPTION_GLOBAL
                                                ? sizeof(struct config_global)
                                                : sizeof(struct config_section)));
    }
}

/* Two rows that write one field would be a silent mix-up. */
static void two_options_never_share_a_field(void **state)
{
    size_t i, j;

    (void)state;
    for (i = 0; i < options_count; i++)
        for (j = i + 1; j < options_count; j++) {
            const struct option_row *a = &options[i], *b = &options[j];

            if (!a->size || !b->size || (a->scope == OPTION_GLOBAL) != (b->scope == OPTION_GLOBAL))
                continue;
            if (a->offset < b->offset + b->size && b->offset < a->offset + a->size)
                fail_msg("%s and %s share a field", a->name, b->name);
        }
}

static void defaults_are_those_of_the_manual(void **state)
{
    struct arena arena = {0};
    struct config_global g = {0};
    struct config_section s = {0};

    (void)state;
    options_set_defaults(&g, OPTION_GLOBAL, &arena);
    assert_int_equal(g.workers, 0);
    assert_null(g.user);
    assert_null(g.group);
    assert_int_equal(g.log_level, LOG_LEVEL_INFO);
    assert_int_equal(g.log_format, LOG_AUTO);
    assert_int_equal(g.max_connections, 0);
    assert_int_equal(g.drain_timeout, 30000);
    assert_false(g.remote_clients);

    options_set_defaults(&s, OPTION_SECTION, &arena);
    assert_int_equal(s.port, 443);
    assert_int_equal(s.address.count, 0);
    assert_int_equal(s.family, FAMILY_ANY);
    assert_int_equal(s.bind.len, 0);
    assert_int_equal(s.keepalive, 60000);
    assert_int_equal(s.max_connections, 0);
    assert_int_equal(s.verify, VERIFY_PIN);
    assert_int_equal(s.also_check, 0);
    assert_null(s.sni);
    assert_null(s.verify_name);
    assert_int_equal(s.tls.min, CONFIG_TLS_1_2);
    assert_int_equal(s.tls.max, CONFIG_TLS_ANY);
    assert_null(s.tls.ciphers.text);
    assert_int_equal(s.alpn.count, 0);
    assert_int_equal(s.truncation, TRUNCATION_RESET);
    assert_int_equal(s.connect_timeout, 10000);
    assert_int_equal(s.handshake_timeout, 10000);
    assert_int_equal(s.idle_timeout, 0);
    assert_int_equal(s.half_close_timeout, 30000);
    assert_int_equal(s.dns_ttl, 30000);
    arena_free(&arena);
}

/* The default that --help-config prints is one that could be written. */
static void every_default_can_be_written(void **state)
{
    struct arena arena = {0};
    const struct value_context ctx = {.arena = &arena, .where = {"x", 1}};
    size_t i;

    (void)state;
    for (i = 0; i < options_count; i++) {
        struct config_global g = {0};
        struct config_section s = {0};
        void *target = options[i].scope == OPTION_GLOBAL ? (void *)&g : (void *)&s;
        const char *why;

        if (!options[i].value)
            continue;
        why = options_set(&options[i], target, &ctx, options[i].value);
        if (why)
            fail_msg("%s = %s: %s", options[i].name, options[i].value, why);
    }
    arena_free(&arena);
}

static void what_is_not_built_yet_is_refused_and_never_ignored(void **state)
{
    struct arena arena = {0};
    const struct value_context ctx = {.arena = &arena, .where = {"x", 1}};
    struct config_section s = {0};
    size_t i, later = 0;

    (void)state;
    for (i = 0; i < options_count; i++) {
        if (!(options[i].flags & OPTION_LATER))
            continue;
        later++;
        assert_contains(options_set(&options[i], &s, &ctx, "something"), "not supported yet");
        assert_contains(options_set(&options[i], &s, &ctx, "something"), options[i].name);
        assert_contains(options_set(&options[i], &s, &ctx, ""), "not supported yet");
    }
    assert_true(later > 5);
    arena_free(&arena);
}

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
        {"port", "0", "1 to 65535"},
        {"port", "65536", "1 to 65535"},
        {"port", "https", "1 to 65535"},
        {"address", "192.0.2.1", NULL},
        {"address", "[2001:db8::1]:8443", NULL},
        {"address", "2001:db8::1", NULL},
        {"address", "name.example:8443", NULL},
        {"address", "192.0.2.1:0", "port"},
        {"address", "", "HOST"},
        {"address", "a b", "character"},
        {"address", "a:b:c", "character"},
        {"family", "ipv6", NULL},
        {"family", "ipv5", "one of: any, ipv4, ipv6"},
        {"bind", "::1", NULL},
        {"bind", "localhost", "an IP address"},
        {"bind", "::ffff:127.0.0.1", "expected 127.0.0.1"},
        {"bind", "127.0.0.1:80", "an IP address"},
        {"via", "tcp", NULL},
        {"via", "socks5://127.0.0.1:1080", "not supported yet"},
        {"via", "exec:ssh", "not supported yet"},
        {"via", "udp", "expected tcp"},
        {"listen", "127.0.0.1:0", NULL},
        {"listen", "127.0.0.1:8443", NULL},
        {"listen", "[::1]:0", NULL},
        {"listen", "unix:x.sock", NULL},
        {"listen", "unix:/x,mode=0660,user=root,group=root", NULL},
        {"listen", "unix:/x,user=no-such-user", "a user"},
        {"listen", "unix:/x,group=no-such-group", "a group"},
        {"listen", "8443", "ADDR:PORT"},
        {"listen", ":8443", "ADDR:PORT"},
        {"listen", "localhost:8443", "an IP address"},
        {"listen", "127.0.0.1", "ADDR:PORT"},
        {"listen", "[::1]", "ADDR:PORT"},
        {"listen", "[127.0.0.1:0", "expected"},
        {"listen", "::1]:0", "expected"},
        {"listen", "[]:0", "expected"},
        {"listen", ":0", "expected"},
        {"listen", "", "expected"},
        {"listen", "unix:", "unix:PATH"},
        {"listen", "unix:,mode=0660", "unix:PATH"},
        {"listen", "unix:/x,mode=", "octal"},
        {"listen", "unix:/x,mode=0888", "octal"},
        {"listen", "unix:/x,mode=1000", "octal"},
        {"listen", "unix:/x,mode=-1", "octal"},
        {"listen", "unix:/x,mode=+660", "octal"},
        {"listen", "unix:/x,mode=0660 ", "octal"},
        {"listen", "unix:/x,mode=77777777777777777777777", "octal"},
        {"listen", "unix:/x,user=", "expected"},
        {"listen", "unix:/x,", "unix:PATH"},
        {"listen", "unix:/x,owner=u", "unix:PATH"},
        {"listen",
         "unix:/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "shorter"},
        {"listen", "systemd:name", "not supported yet"},
        {"verify", "pin+pki", NULL},
        {"verify", "PKI", NULL},
        {"verify", "tofu", NULL},
        {"verify", "tofu+pki", NULL},
        {"verify", "dane", "not supported yet"},
        {"verify", "none", "never taken unverified"},
        {"verify", "pins", "one of: pin, pin+pki, pki"},
        {"verify", "2", "'pki' to the CAs"},
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
        {"enforce", "no", "neither enforced nor reported"},
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
        {"alpn", "h2,http/1.1", "lines of their own"},
        {"alpn", "h2 http/1.1", "lines of their own"},
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

static void help_names_every_option(void **state)
{
    char *text = NULL;
    size_t n, i;
    FILE *to = open_memstream(&text, &n);

    (void)state;
    assert_non_null(to);
    options_print(to);
    fclose(to);
    for (i = 0; i < options_count; i++) {
        assert_contains(text, options[i].name);
        assert_contains(text, options[i].help);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_means_one_thing_in_each_scope),
        cmocka_unit_test(every_row_can_be_used),
        cmocka_unit_test(two_options_never_share_a_field),
        cmocka_unit_test(defaults_are_those_of_the_manual),
        cmocka_unit_test(every_default_can_be_written),
        cmocka_unit_test(what_is_not_built_yet_is_refused_and_never_ignored),
        cmocka_unit_test(values_of_global_options_are_checked),
        cmocka_unit_test(values_of_section_options_are_checked),
        cmocka_unit_test(relative_paths_start_at_the_configuration),
        cmocka_unit_test(help_names_every_option),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
