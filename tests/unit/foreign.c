/* base/foreign: words of other programs lead to the words of this one. */
#include "base/foreign.h"

#include <stdlib.h>
#include <string.h>

#include "help.h"

struct row {
    const char *word, *advice; /* advice NULL: not known */
};

static void check(const char *found, const struct row *r)
{
    if (r->advice && !found)
        fail_msg("%s is not known", r->word);
    if (!r->advice && found)
        fail_msg("%s: %s", r->word, found);
    if (r->advice)
        assert_contains(found, r->advice);
}

static void options_of_other_programs_are_known_in_any_spelling(void **state)
{
    static const struct row rows[] = {
        {"accept", "listen = ADDR:PORT"},
        {"CAfile", "ca_file"},
        {"cafile", "ca_file"},
        {"connect-to", "address"},
        {"connect_to", "address"},
        {"timeout connect", "connect_timeout"},
        {"ProxyCommand", "via = exec:COMMAND"},
        {"proxyjump", "via = exec:ssh -W"},
        {"proxy", "via = socks5://"},
        {"exec", "via = exec:"},
        {"protocol", "starttls = smtp"},
        {"sslkey", "client_key"},
        {"sslpassword", "client_key_password = file:"},
        {"sslmode", "starttls = PROTOCOL"},
        {"baud", "via = serial:"},
        {"pid", "remove this line"},
        {"", NULL},
        {"accep", NULL},
        {"accepts", NULL},
        {"port", NULL},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++)
        check(foreign_key(rows[i].word), &rows[i]);
}

static void values_of_other_programs_are_known_whole(void **state)
{
    static const struct row rows[] = {
        {"yes", "'pki' against the CAs"},
        {"YES", "'pki' against the CAs"},
        {"none", "never accepted"},
        {"pin", NULL},
        {"", NULL},
        {"ye", NULL},
        {"yes on", NULL},
        {" ", NULL},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++)
        check(foreign_value("verify", rows[i].word), &rows[i]);
    assert_null(foreign_value("port", "yes"));
    assert_contains(foreign_value("sni", "none"), "sni = off");
    assert_contains(foreign_value("starttls", "yes"), "name the protocol");
    assert_contains(foreign_value("starttls", "SSL"), "TLS is always used");
    assert_contains(foreign_value("starttls", "postgresql"), "starttls = postgres");
    assert_null(foreign_value("starttls", "postgres"));
    assert_contains(foreign_value("send_proxy", "yes"), "v2");
    assert_contains(foreign_value("raw_key", "yes"), "'require'");
    assert_contains(foreign_value("client", "psql"), "client = postgres");
}

static void ways_of_other_programs_are_known(void **state)
{
    static const struct row rows[] = {
        {"tls://", "TLS is always used"},
        {"https://proxy.example:3128", "section:NAME"},
        {"proxy.example:3128", "http://HOST:PORT"},
        {"SOCKS5H://proxy.example:1080", "socks5://HOST:PORT"},
        {"none", "leave this line out"},
        {"/run/db.sock", "unix:PATH"},
        {"ssh -W db.example:5432 gateway", "exec:COMMAND"},
        {"tlsproxy", NULL},
        {"nonesuch", NULL},
        {"proxy.example:", NULL},
        {"", NULL},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++)
        check(foreign_via(rows[i].word), &rows[i]);
}

static void pins_of_other_programs_are_known(void **state)
{
    static const char digest[] = "YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=";
    static const char hex[] = "60:b8:75:75:44:7d:cb:a2:a3:6b:7d:11:ac:09:fb:24:"
                              "a9:db:40:6f:ee:12:d2:cc:90:18:05:17:61:6e:8a:18";

    (void)state;
    assert_contains(foreign_pin(digest), "sha256//BASE64");
    assert_contains(foreign_pin(hex), "cert:sha256:HEX");
    assert_contains(foreign_pin("SHA256 Fingerprint=60:B8"), "cert:sha256:HEX");
    assert_contains(foreign_pin("pin-sha256=\"x\""), "sha256//BASE64");
    assert_contains(foreign_pin("-----BEGIN CERTIFICATE-----"), "cert:FILE");
    assert_contains(foreign_pin("server.pem"), "cert:FILE");
    assert_null(foreign_pin("nonsense"));
    assert_null(foreign_pin(""));
}

static void a_host_with_more_than_a_name_is_known(void **state)
{
    static const struct row rows[] = {
        {"https://a.example/", "is a URL"},
        {"a.example/x", "has a path"},
        {"u@a.example", "has a user"},
        {"[::1]", "has brackets"},
        {"a.example:443", "has a port"},
        {"a.example", NULL},
        {"::1", NULL},
        {"a.example:", NULL},
        {"a.example:x", NULL},
        {"", NULL},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++)
        check(foreign_host(rows[i].word), &rows[i]);
}

static void characters_that_look_like_others_are_named(void **state)
{
    (void)state;
    assert_contains(foreign_character("x\u00a0"), "U+00A0");
    assert_contains(foreign_character("\u201cx"), "U+201C");
    assert_null(foreign_character("x\u00a0y"));
    assert_null(foreign_character("\u00fc"));
    assert_null(foreign_character(""));
}

static void a_comment_that_begins_with_a_word_is_known(void **state)
{
    (void)state;
    assert_true(foreign_comment("; until=2030-01-01", "until= name="));
    assert_true(foreign_comment(";;\tNAME=x", "until= name="));
    assert_false(foreign_comment("; the name=x", "until= name="));
    assert_false(foreign_comment(";", "until= name="));
    assert_false(foreign_comment("; x", ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_of_other_programs_are_known_in_any_spelling),
        cmocka_unit_test(values_of_other_programs_are_known_whole),
        cmocka_unit_test(ways_of_other_programs_are_known),
        cmocka_unit_test(pins_of_other_programs_are_known),
        cmocka_unit_test(a_host_with_more_than_a_name_is_known),
        cmocka_unit_test(characters_that_look_like_others_are_named),
        cmocka_unit_test(a_comment_that_begins_with_a_word_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
