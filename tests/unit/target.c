/* net/target: a change that leads to another server is seen as one. */
#include "net/target.h"

#include "configs.h"
#include "help.h"

#define SECTION(lines) "[a.example]\npin = " A "\n" lines

static bool is_same(const char *a, const char *b)
{
    struct config *x = take(a), *y = take(b);
    const bool same = target_is_same_server(x->sections[0], y->sections[0]);

    assert_int_equal(target_is_same_server(y->sections[0], x->sections[0]), same);
    config_free(x);
    config_free(y);
    return same;
}

static void another_server_is_another_target(void **state)
{
    static const char *const others[] = {
        SECTION(""),
        SECTION("host = b.example\n"),
        SECTION("port = 8443\n"),
        SECTION("sni = b.example\n"),
        SECTION("sni = off\n"),
        SECTION("address = 192.0.2.1\n"),
        SECTION("address = 192.0.2.1:8443\n"),
        SECTION("address = 192.0.2.1\naddress = 192.0.2.2\n"),
        SECTION("address = 192.0.2.2\naddress = 192.0.2.1\n"),
    };
    size_t i, j;

    (void)state;
    for (i = 0; i < COUNT(others); i++)
        for (j = 0; j < COUNT(others); j++)
            assert_int_equal(is_same(others[i], others[j]), i == j);
}

static void what_does_not_lead_elsewhere_is_no_difference(void **state)
{
    (void)state;
    assert_true(is_same(SECTION(""), SECTION("pin = " B "\ntls_min = 1.3\n")));
    assert_true(is_same(SECTION(""), SECTION("family = ipv6\nconnect_timeout = 1s\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_server_is_another_target),
        cmocka_unit_test(what_does_not_lead_elsewhere_is_no_difference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
