/* net/lookup: look-ups are bounded, and names that are slow leave room for others. */
#include "net/lookup.h"

#include <unistd.h>

#include "asking.h"

/* Names are looked up at once, but not without bound. */
static void look_ups_are_bounded(void **state)
{
    struct asking a[LOOKUPS_MAX + 10] = {{0}};
    char host[32];
    size_t i;

    (void)state;
    names_hold();
    for (i = 0; i < COUNT(a); i++) {
        snprintf(host, sizeof(host), "h%zu.example", i);
        names_set(host, "192.0.2.1");
        assert_false(asking_ask(&a[i], host, AF_UNSPEC, ASKING_AGE));
    }
    asking_wait(LOOKUPS_MAX * 3 / 4); /* they are new */
    usleep(20000);
    assert_int_equal(names_running(), LOOKUPS_MAX * 3 / 4);
    asking_cancel(&a[COUNT(a) - 2]); /* one that waits for its turn */
    names_release();
    asking_run();
    asking_wait(COUNT(a));
    for (i = 0; i < COUNT(a); i++) {
        if (i == COUNT(a) - 2)
            assert_int_equal(a[i].answers, 0);
        else
            asking_assert_got(&a[i], 1, "192.0.2.1");
    }
}

/* As where there are few descriptors. */
static void look_ups_keep_to_the_maximum_that_is_set(void **state)
{
    struct asking a[8] = {{0}};
    char host[32];
    size_t i;

    (void)state;
    lookup_set_max(4);
    names_hold();
    for (i = 0; i < COUNT(a); i++) {
        snprintf(host, sizeof(host), "h%zu.example", i);
        names_set(host, "192.0.2.1");
        assert_false(asking_ask(&a[i], host, AF_UNSPEC, ASKING_AGE));
    }
    asking_wait(3);
    usleep(20000);
    assert_int_equal(names_running(), 3);
    names_release();
    asking_run();
    for (i = 0; i < COUNT(a); i++)
        asking_assert_got(&a[i], 1, "192.0.2.1");
    lookup_set_max(LOOKUPS_MAX);
}

/* A slow name, which is looked up for each family as well, takes no room from other names. */
static void second_look_ups_of_a_name_have_room_of_their_own(void **state)
{
    const int first = LOOKUPS_MAX * 3 / 4, second = LOOKUPS_MAX / 2;
    struct asking a[LOOKUPS_MAX * 2] = {{0}};
    char host[32];
    int i;

    (void)state;
    names_hold();
    for (i = 0; i < (int)COUNT(a); i++) {
        snprintf(host, sizeof(host), "h%d.example", i);
        names_set(host, "192.0.2.1");
        a[i].other_family = i < LOOKUPS_MAX;
        assert_false(asking_ask(&a[i], host, AF_INET, ASKING_AGE));
    }
    asking_wait(first + second);
    usleep(20000);
    assert_int_equal(names_running(), first + second);
    names_release();
    asking_run();
    asking_wait(COUNT(a));
    for (i = 0; i < (int)COUNT(a); i++)
        asking_assert_got(&a[i], 1, "192.0.2.1");
}

/*
 * Names that hang take neither all room from new ones, nor from those that were answered promptly.
 */
static void slow_names_leave_room_for_others(void **state)
{
    struct asking bad[LOOKUPS_MAX * 2] = {{0}}, fresh = {0}, known = {0};
    char host[32];
    size_t i;

    (void)state;
    names_set("known.example", "192.0.2.1");
    assert_false(asking_ask(&known, "known.example", AF_UNSPEC, ASKING_AGE));
    asking_run();
    for (i = 0; i < COUNT(bad); i++) {
        snprintf(host, sizeof(host), "h%zu.example", i);
        names_set(host, NULL);
        assert_false(asking_ask(&bad[i], host, AF_UNSPEC, ASKING_AGE));
    }
    asking_run();
    for (i = 0; i < COUNT(bad); i++) {
        snprintf(host, sizeof(host), "h%zu.example", i);
        names_hold_one(host);
        assert_false(asking_ask(&bad[i], host, AF_UNSPEC, ASKING_AGE));
    }
    names_set("fresh.example", "192.0.2.2");
    names_set("known.example", "192.0.2.3");
    assert_false(asking_ask(&fresh, "fresh.example", AF_UNSPEC, ASKING_AGE));
    assert_false(asking_ask(&known, "known.example", AF_UNSPEC, 0));
    while (fresh.answers < 1 || known.answers < 2)
        uv_run(&asking_thread.loop, UV_RUN_ONCE);
    asking_assert_got(&fresh, 1, "192.0.2.2");
    asking_assert_got(&known, 2, "192.0.2.3");
    assert_true(names_running() <= LOOKUPS_MAX / 4);
    names_release();
    asking_run();
    for (i = 0; i < COUNT(bad); i++)
        asking_assert_got(&bad[i], 2, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ASKING_TEST(look_ups_are_bounded),
        ASKING_TEST(look_ups_keep_to_the_maximum_that_is_set),
        ASKING_TEST(second_look_ups_of_a_name_have_room_of_their_own),
        ASKING_TEST(slow_names_leave_room_for_others),
    };

    return cmocka_run_group_tests(tests, asking_group_setup, names_group_teardown);
}
