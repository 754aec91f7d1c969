/* config/section: what a section derives from its name. */
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
           "twice: it is at x.conf:1 already");
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

static void defaults_are_left_out_not_named(void **state)
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
        cmocka_unit_test(names_of_sections_have_one_spelling),
        cmocka_unit_test(certificates_carry_no_zone),
        cmocka_unit_test(defaults_are_left_out_not_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
