/* net/unreachable: an address that failed is remembered, for a while and in bounded memory. */
#include "net/unreachable.h"

#include <pthread.h>
#include <string.h>

#include "help.h"

static struct addr ip(const char *text, uint16_t port)
{
    struct addr a;

    assert_true(addr_from_ip(&a, text, port));
    return a;
}

static int forget_all(void **state)
{
    (void)state;
    unreachable_clear();
    return 0;
}

static void a_failure_is_of_one_address_and_port(void **state)
{
    static const struct {
        const char *ip;
        uint16_t port;
    } rows[] = {
        {"192.0.2.1", 443},   {"192.0.2.1", 444},   {"192.0.2.2", 443},
        {"2001:db8::1", 443}, {"2001:db8::2", 443}, {"::c000:201", 443},
    };
    size_t i, j;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        const struct addr failed = ip(rows[i].ip, rows[i].port);

        unreachable_clear();
        unreachable_note(&failed, 1000);
        for (j = 0; j < COUNT(rows); j++) {
            const struct addr other = ip(rows[j].ip, rows[j].port);

            assert_int_equal(unreachable_has(&other, 1000), i == j);
        }
    }
}

static void a_failure_is_forgotten_after_its_time(void **state)
{
    const struct addr a = ip("192.0.2.1", 443);

    (void)state;
    unreachable_note(&a, 1000);
    assert_true(unreachable_has(&a, 500)); /* the clock of another loop may be behind */
    assert_true(unreachable_has(&a, 1000 + UNREACHABLE_MS - 1));
    assert_false(unreachable_has(&a, 1000 + UNREACHABLE_MS));
    assert_false(unreachable_has(&a, 1000)); /* it was dropped */
    unreachable_note(&a, 2000);
    unreachable_note(&a, 12000);
    assert_true(unreachable_has(&a, 12000 + UNREACHABLE_MS - 1));
}

static void an_address_that_connects_is_forgotten_alone(void **state)
{
    const struct addr a = ip("192.0.2.1", 443), b = ip("192.0.2.2", 443);

    (void)state;
    unreachable_forget(&a); /* of which nothing is known */
    unreachable_note(&a, 1);
    unreachable_note(&b, 1);
    unreachable_forget(&a);
    assert_false(unreachable_has(&a, 1));
    assert_true(unreachable_has(&b, 1));
    unreachable_clear();
    assert_false(unreachable_has(&b, 1));
}

static void many_failures_take_no_more_memory(void **state)
{
    const int all = UNREACHABLE_ADDRESSES_MAX * 4;
    struct addr a = ip("10.0.0.0", 443);
    int i, remembered = 0;

    (void)state;
    for (i = 0; i < all; i++) {
        a.in.sin_addr.s_addr = htonl(0x0a000000U + (uint32_t)i);
        unreachable_note(&a, (uint64_t)i);
        assert_true(unreachable_has(&a, (uint64_t)i)); /* the newest one is always there */
    }
    for (i = 0; i < all; i++) {
        a.in.sin_addr.s_addr = htonl(0x0a000000U + (uint32_t)i);
        remembered += unreachable_has(&a, (uint64_t)all);
    }
    assert_true(remembered <= UNREACHABLE_ADDRESSES_MAX);
    assert_true(remembered > UNREACHABLE_ADDRESSES_MAX / 2);
}

static void *note_and_forget(void *arg)
{
    const struct addr mine = *(struct addr *)arg;
    int i;

    for (i = 0; i < 20000; i++) {
        unreachable_note(&mine, 1);
        assert_true(unreachable_has(&mine, 1));
        unreachable_forget(&mine);
        assert_false(unreachable_has(&mine, 1));
    }
    return NULL;
}

static void threads_share_the_memory(void **state)
{
    struct addr a = ip("192.0.2.1", 443), b = ip("2001:db8::1", 443);
    pthread_t second;

    (void)state;
    assert_int_equal(pthread_create(&second, NULL, note_and_forget, &a), 0);
    note_and_forget(&b);
    pthread_join(second, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_failure_is_of_one_address_and_port, forget_all),
        cmocka_unit_test_setup(a_failure_is_forgotten_after_its_time, forget_all),
        cmocka_unit_test_setup(an_address_that_connects_is_forgotten_alone, forget_all),
        cmocka_unit_test_setup(many_failures_take_no_more_memory, forget_all),
        cmocka_unit_test_setup(threads_share_the_memory, forget_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
