/* config/section: what a section derives from its name, and how it is found. */
#include "config/section.h"

#include <string.h>

#include "configs.h"
#include "help.h"

static void names_of_sections_have_one_spelling(void **state)
{
    struct config *c = take("[Good.Example.]\npin = " A "\n");

    (void)state;
    assert_string_equal(c->sections[0]->name, "Good.Example");
    assert_string_equal(c->sections[0]->host, "Good.Example");
    assert_int_equal(config_find(c, "good.example"), 0);
    assert_int_equal(config_find(c, "GOOD.example."), 0);
    assert_int_equal(config_find(c, "good.example.."), 1);
    config_free(c);
    refuse("[good.example]\npin = " A "\n[GOOD.example.]\npin = " B "\n", 3,
           "is already defined at x.conf:1");
    refuse("[good.example..]\npin = " A "\n", 1, "empty label");
}

static void certificates_carry_no_zone(void **state)
{
    struct config *c = take("[a]\nhost = ::1%lo\npin = " A "\n[::1%lo]\nverify = pki\n");
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        assert_string_equal(c->sections[i]->host, "::1%lo");
        assert_string_equal(c->sections[i]->verify_name, "::1");
        assert_null(c->sections[i]->sni);
    }
    config_free(c);
    refuse("[a.example]\npin = " A "\nverify_name = ::1%lo\n", 3, "zone");
    refuse("[a.example]\npin = " A "\nhost = ::1%none\n", 3, "no network interface");
}

static void no_server_name_is_sent_for_an_address(void **state)
{
    struct config *c = take("[192.0.2.1]\npin = " A "\n[2001:db8::1]\npin = " A
                            "\n[a.example]\npin = " A "\nsni = off\n[b.example]\npin = " A
                            "\nsni = c.example\n");

    (void)state;
    assert_null(c->sections[config_find(c, "192.0.2.1")]->sni);
    assert_null(c->sections[config_find(c, "2001:db8::1")]->sni);
    assert_null(c->sections[config_find(c, "a.example")]->sni);
    assert_string_equal(c->sections[config_find(c, "b.example")]->sni, "c.example");
    config_free(c);
}

static void postgres_clients_are_the_default_of_its_starttls(void **state)
{
    static const struct {
        enum starttls starttls;
        enum config_client set, expected;
    } rows[] = {
        {STARTTLS_OFF, CLIENT_UNSET, CLIENT_RAW},
        {STARTTLS_SMTP, CLIENT_UNSET, CLIENT_RAW},
        {STARTTLS_POSTGRES, CLIENT_UNSET, CLIENT_POSTGRES},
        {STARTTLS_POSTGRES, CLIENT_RAW, CLIENT_RAW},
        {STARTTLS_OFF, CLIENT_POSTGRES, CLIENT_POSTGRES},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        const struct config_section s = {.starttls = rows[i].starttls, .client = rows[i].set};

        assert_int_equal(config_client(&s), rows[i].expected);
    }
}

static void sections_are_found_by_name_alone(void **state)
{
    struct config *c = take("[b.example]\npin = " A "\n[a]\nhost = c.example\npin = " A
                            "\n[Z.example]\npin = " A "\n");
    const struct config empty = {0};

    (void)state;
    assert_int_equal(c->count, 3);
    assert_string_equal(c->sections[config_find(c, "b.example")]->name, "b.example");
    assert_string_equal(c->sections[config_find(c, "B.EXAMPLE")]->name, "b.example");
    assert_string_equal(c->sections[config_find(c, "z.example")]->name, "Z.example");
    assert_string_equal(c->sections[config_find(c, "a")]->host, "c.example");
    assert_int_equal(config_find(c, "c.example"), 3);
    assert_int_equal(config_find(c, ""), 3);
    assert_int_equal(config_find(&empty, "a"), 0);
    config_free(c);
    config_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_sections_have_one_spelling),
        cmocka_unit_test(certificates_carry_no_zone),
        cmocka_unit_test(no_server_name_is_sent_for_an_address),
        cmocka_unit_test(postgres_clients_are_the_default_of_its_starttls),
        cmocka_unit_test(sections_are_found_by_name_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
