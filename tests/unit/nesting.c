/* config/nesting: a section that is reached through another one must have a way out in the end. */
#include "config/nesting.h"

#include "configs.h"
#include "help.h"

#define SECTION(name, via) "[" name "]\npin = " A "\nvia = section:" via "\n"
#define PROXY(name) "[" name "]\npin = " A "\n"

static void an_outer_section_must_exist(void **state)
{
    struct config *c;

    (void)state;
    refuse(SECTION("a.example", "b.example"), 3, "there is no section [b.example]");
    refuse(PROXY("b.example") "alpn = h2\n" SECTION("a.example", "b.example"), 6, "http/1.1");
    config_free(
        take(PROXY("b.example") "alpn = h2\nalpn = http/1.1\n" SECTION("a.example", "b.example")));
    c = take(PROXY("b.example") SECTION("a.example", "me:pw@B.Example."));
    assert_string_equal(c->sections[0]->via.section, "B.Example");
    assert_string_equal(c->sections[0]->via.text, "section:me:***@B.Example.");
    config_free(c);
}

static void the_name_is_read_after_the_credentials(void **state)
{
    (void)state;
    refuse(SECTION("a.example", ""), 3, "expected section:[USER:PASSWORD@]NAME");
    refuse(SECTION("a.example", "me@b"), 3, "a user and a password before the '@'");
    refuse(SECTION("a.example", "m%3Ae:pw@b"), 3, "no ':'");
}

static void a_circle_is_refused_with_its_names(void **state)
{
    (void)state;
    refuse(SECTION("a.example", "a.example"), 3, "[a.example] via [a.example]");
    refuse(PROXY("c.example") "[defaults]\nvia = section:c.example\n", 1,
           "[c.example] via [c.example]");
    /* who only leads into a circle is not a part of it */
    refuse(SECTION("a.example", "b.example") SECTION("b.example", "b.example"), 6,
           "[b.example] via [b.example]");
}

#define FOUR                                                                                       \
    SECTION("b.example", "c.example")                                                              \
    SECTION("c.example", "d.example") SECTION("d.example", "e.example") PROXY("e.example")

static void four_sections_may_be_around_one(void **state)
{
    (void)state;
    config_free(take(SECTION("a.example", "b.example") FOUR));
    refuse(SECTION("0.example", "a.example") SECTION("a.example", "b.example") FOUR, 3,
           "more than 4 sections");
}

static void a_parent_knows_no_zone(void **state)
{
    (void)state;
    refuse(PROXY("b.example") "[fe80::1%lo]\npin = " A "\nvia = section:b.example\n", 5,
           "IPv6 zone");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_outer_section_must_exist),
        cmocka_unit_test(the_name_is_read_after_the_credentials),
        cmocka_unit_test(a_circle_is_refused_with_its_names),
        cmocka_unit_test(four_sections_may_be_around_one),
        cmocka_unit_test(a_parent_knows_no_zone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
