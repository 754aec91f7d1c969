/* pinproxy/adhoc: a section from the arguments of a command. */
#include "pinproxy/adhoc.h"

#include <stdlib.h>
#include <string.h>

#include "help.h"
#include "trust/policy.h"

#define PIN "sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg="

static void a_host_may_have_a_port(void **state)
{
    static const struct {
        const char *argument, *host;
        long port;
    } rows[] = {
        {"a.example", "a.example", 443},
        {"a.example:8443", "a.example", 8443},
        {"192.0.2.1:1", "192.0.2.1", 1},
        {"[2001:db8::1]:443", "2001:db8::1", 443},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        struct adhoc o;

        assert_null(adhoc_init(&o, rows[i].argument));
        assert_string_equal(o.section->host, rows[i].host);
        assert_int_equal(o.section->port, rows[i].port);
        adhoc_free(&o);
    }
}

static void anything_else_is_an_error_with_the_argument_in_it(void **state)
{
    static const char *const rows[] = {"",
                                       "a..example",
                                       ".example",
                                       "a.example:",
                                       "a.example:0",
                                       "a.example:65536",
                                       "https://a.example",
                                       "a.example/x"};
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        struct adhoc o;
        const char *why = adhoc_init(&o, rows[i]);

        if (!why)
            fail_msg("'%s' was accepted", rows[i]);
        assert_contains(why, rows[i]);
        adhoc_free(&o);
    }
}

static void an_option_is_set_as_in_a_configuration(void **state)
{
    struct adhoc o;
    const char *why;

    (void)state;
    assert_null(adhoc_init(&o, "a.example"));
    assert_null(adhoc_set(&o, "pin", PIN));
    assert_int_equal(o.section->pins.count, 1);
    assert_null(adhoc_set_timeout(&o, "3s"));
    assert_int_equal(o.section->connect_timeout, 3000);
    assert_int_equal(o.section->handshake_timeout, 3000);
    why = adhoc_set(&o, "pin", "sha256//bad");
    assert_non_null(why);
    assert_non_null(adhoc_set_timeout(&o, "off"));
    adhoc_free(&o);
}

static void a_ready_section_has_a_policy_and_a_context(void **state)
{
    const struct section *section;
    struct adhoc o;

    (void)state;
    assert_null(adhoc_init(&o, "a.example"));
    assert_null(adhoc_set(&o, "pin", PIN));
    section = adhoc_ready(&o);
    assert_non_null(section);
    assert_false(section->policy->probe_only);
    assert_non_null(section->ctx);
    assert_string_equal(section->config->verify_name, "a.example");
    adhoc_free(&o);
}

static void a_section_for_a_probe_trusts_no_server(void **state)
{
    const struct section *section;
    struct adhoc o;

    (void)state;
    assert_null(adhoc_init(&o, "a.example"));
    section = adhoc_probe(&o);
    assert_non_null(section);
    assert_true(section->policy->probe_only);
    adhoc_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_may_have_a_port),
        cmocka_unit_test(anything_else_is_an_error_with_the_argument_in_it),
        cmocka_unit_test(an_option_is_set_as_in_a_configuration),
        cmocka_unit_test(a_ready_section_has_a_policy_and_a_context),
        cmocka_unit_test(a_section_for_a_probe_trusts_no_server),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
