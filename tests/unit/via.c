/* config/via: the parents that can be written, and what is wrong with others; passwords stay secret. */
#include "config/via.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/userinfo.h"
#include "configs.h"
#include "help.h"

static struct arena arena;

static const char *parse(const char *value, struct config_via *out)
{
    memset(out, 0, sizeof(*out));
    return via_parse(value, temp_dir(), &arena, out);
}

static void write_secret(const char *bytes, size_t n)
{
    FILE *f = fopen(temp_path("secret"), "w");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void a_parent_has_a_host_and_a_port(void **state)
{
    static const struct {
        const char *value;
        enum via scheme;
        const char *host;
        uint16_t port;
        const char *user, *password, *text;
    } rows[] = {
        {"socks5://proxy.example:1080", VIA_SOCKS5, "proxy.example", 1080, NULL, NULL, NULL},
        {"SOCKS5://127.0.0.1:1", VIA_SOCKS5, "127.0.0.1", 1, NULL, NULL, NULL},
        {"http://[2001:db8::1]:65535", VIA_HTTP, "2001:db8::1", 65535, NULL, NULL, NULL},
        {"http://me:pw@proxy.example:3128", VIA_HTTP, "proxy.example", 3128, "me", "pw",
         "http://me:***@proxy.example:3128"},
        {"http://me:@proxy.example:3128", VIA_HTTP, "proxy.example", 3128, "me", "",
         "http://me:***@proxy.example:3128"},
        {"socks5://m%65:a%40%3a:b@[::1]:9", VIA_SOCKS5, "::1", 9, "me", "a@::b",
         "socks5://m%65:***@[::1]:9"},
        {"http://me:a@b@c:1", VIA_HTTP, "c", 1, "me", "a@b", "http://me:***@c:1"},
    };
    struct config_via via;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        const char *why = parse(rows[i].value, &via);

        if (why)
            fail_msg("%s: %s", rows[i].value, why);
        assert_int_equal(via.scheme, rows[i].scheme);
        assert_string_equal(via.host, rows[i].host);
        assert_int_equal(via.port, rows[i].port);
        assert_int_equal(!via.user, !rows[i].user);
        if (via.user) {
            assert_string_equal(via.user, rows[i].user);
            assert_string_equal(via.password, rows[i].password);
        }
        assert_string_equal(via.text, rows[i].text ? rows[i].text : rows[i].value);
    }
}

static void a_malformed_parent_is_refused(void **state)
{
    static char long_user[320] = "socks5://";
    static const struct {
        const char *value, *part;
    } rows[] = {
        {"socks5://proxy.example", "no port"},
        {"socks5://", "expected socks5://[USER:PASSWORD@]HOST:PORT"},
        {"socks5://proxy.example:0", "port"},
        {"socks5://proxy.example:1080/", "port"},
        {"http://:80", "expected http://[USER:PASSWORD@]HOST:PORT"},
        {"http://a..b:80", "http://"},
        {"http://me@proxy.example:80", "a user and a password before the '@'"},
        {"http://:pw@proxy.example:80", "a user and a password before the '@'"},
        {"http://me:%zz@proxy.example:80", "write '%' as %25"},
        {"http://m%:pw@proxy.example:80", "write '%' as %25"},
        {"http://me:%00@proxy.example:80", "write '%' as %25"},
        {"http://m%3Ae:pw@proxy.example:80", "no ':'"},
        {"http://me:%0d%0a@proxy.example:80", "no control bytes"},
        {"socks5://me:@proxy.example:80", "1 to 255 bytes"},
        {long_user, "1 to 255 bytes"},
        {"http://me:file:@proxy.example:80", "expected file:PATH"},
        {"http://me:file:nothing@proxy.example:80", "/nothing: No such file"},
        {"http://me:file:%d/x@proxy.example:80", "LoadCredential"},
        {"https://proxy.example:80", "expected tcp"},
        {"socks4a://proxy.example:80", "expected tcp"},
    };
    struct config_via via, zero = {0};
    size_t i;

    (void)state;
    memset(long_user + 9, 'x', 256);
    strcat(long_user, ":pw@proxy.example:80");
    unsetenv("CREDENTIALS_DIRECTORY");
    for (i = 0; i < COUNT(rows); i++) {
        const char *why = parse(rows[i].value, &via);

        if (!why)
            fail_msg("%s was taken", rows[i].value);
        assert_contains(why, rows[i].part);
        assert_memory_equal(&via, &zero, sizeof(zero));
    }
}

static void a_password_may_be_the_first_line_of_a_file(void **state)
{
    struct config_via via;

    (void)state;
    write_secret("p%20w@x\r\nmore\n", 14);
    assert_null(parse("http://me:file:secret@proxy.example:80", &via));
    assert_string_equal(via.password, "p%20w@x");
    setenv("CREDENTIALS_DIRECTORY", temp_dir(), 1);
    assert_null(parse("socks5://me:file:%d/secret@proxy.example:80", &via));
    assert_string_equal(via.password, "p%20w@x");
    unsetenv("CREDENTIALS_DIRECTORY");
    write_secret("\nsecret", 7);
    assert_contains(parse("http://me:file:secret@proxy.example:80", &via), "first line is empty");
    write_secret("a\0b", 3);
    assert_contains(parse("http://me:file:secret@proxy.example:80", &via), "NUL byte");
    write_secret("a\rb\n", 4);
    assert_contains(parse("http://me:file:secret@proxy.example:80", &via), "no control bytes");
}

static void messages_have_no_password(void **state)
{
    static const char *const values[] = {
        "socks5://me:hunter2@proxy.example",      "socks5://me:hunter2@proxy.example:x",
        "sock5://me:hunter2@proxy.example:1080",  "socks5://me:hunter2",
        "socks5:me:hunter2@proxy.example:1080",   "me:hunter2@proxy.example:1080",
        "\"http://me:hunter2@proxy.example:80\"", "http://me:x #hunter2@proxy.example:80",
    };
    char text[256];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(values); i++) {
        char *why;

        snprintf(text, sizeof(text), "[a.example]\npin = " A "\nvia = %s\n", values[i]);
        why = faults(text);
        assert_contains(why, "via = ");
        if (strstr(why, "ter2"))
            fail_msg("%s", why);
        free(why);
    }
}

static void other_values_are_shown_whole(void **state)
{
    static const char *const values[] = {
        "tcp",
        "exec:ssh a:b@c",
        "unix:/a:b@c",
        "http://proxy.example:80",
        "http://[::1]:80",
        "socks5://proxy.example",
        "http://proxy.example:80/",
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(values); i++)
        assert_string_equal(userinfo_conceal(values[i], &arena), values[i]);
}

static void a_parent_must_be_of_the_family(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A "\nfamily = ipv6\nvia = http://127.0.0.1:80\n", 4, "'family'");
    refuse("[a.example]\npin = " A "\naddress = fe80::1%lo\nvia = http://127.0.0.1:80\n", 4,
           "IPv6 zone");
    /* the family is that of the connection to the parent */
    config_free(take("[192.0.2.1]\npin = " A "\nfamily = ipv6\nvia = http://[::1]:80\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_parent_has_a_host_and_a_port),
        cmocka_unit_test(a_malformed_parent_is_refused),
        cmocka_unit_test(a_password_may_be_the_first_line_of_a_file),
        cmocka_unit_test(messages_have_no_password),
        cmocka_unit_test(other_values_are_shown_whole),
        cmocka_unit_test(a_parent_must_be_of_the_family),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    arena_free(&arena);
    return failed;
}
