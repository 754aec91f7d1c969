/* learned/pending: one refused key of a section is written at a time, and the latest waits. */
#include "learned/pending.h"

#include <string.h>

#include "help.h"

static struct learned_key key_of(const char *section, const char *hostport, int number)
{
    uint8_t digest[CERT_DIGEST_SIZE];
    struct learned_key key;

    memset(digest, number, sizeof(digest));
    assert_true(learnedkey_init(&key, section, hostport, digest, 0));
    return key;
}

static bool begin(struct pending *p, const char *section, int number)
{
    const struct learned_key key = key_of(section, "h:1", number);

    return pending_begin(p, &key);
}

static void of_the_keys_that_wait_the_latest_is_written(void **state)
{
    struct learned_key key = key_of("a", "h:1", 1);
    const struct learned_key last = key_of("A", "other:2", 4);
    struct pending p;

    (void)state;
    pending_init(&p);
    assert_true(begin(&p, "a", 1));
    assert_false(begin(&p, "a", 2));
    assert_false(begin(&p, "a", 3));
    assert_false(pending_begin(&p, &last)); /* names are compared without regard to case */
    assert_true(pending_end(&p, &key));
    assert_int_equal(key.digest[0], 4);
    assert_string_equal(key.hostport, "other:2"); /* it is written for the host that has shown it */
    assert_false(begin(&p, "a", 5));
    assert_true(pending_end(&p, &key));
    assert_int_equal(key.digest[0], 5);
    assert_false(pending_end(&p, &key));
    assert_int_equal(key.digest[0], 5);
    assert_true(begin(&p, "a", 6));
    pending_destroy(&p);
}

static void sections_do_not_wait_for_each_other(void **state)
{
    struct learned_key a = key_of("a", "h:1", 1), b = key_of("b", "h:1", 2);
    struct pending p;

    (void)state;
    pending_init(&p);
    assert_true(begin(&p, "a", 1));
    assert_true(begin(&p, "b", 2));
    assert_false(begin(&p, "b", 3));
    assert_false(pending_end(&p, &a));
    assert_true(pending_end(&p, &b));
    assert_int_equal(b.digest[0], 3);
    assert_false(pending_end(&p, &b));
    pending_destroy(&p);
}

static void a_write_that_cannot_be_made_holds_up_no_later_one(void **state)
{
    const struct learned_key key = key_of("a", "h:1", 1);
    struct pending p;

    (void)state;
    pending_init(&p);
    assert_true(begin(&p, "a", 1));
    assert_false(begin(&p, "a", 2));
    pending_abort(&p, &key);
    assert_true(begin(&p, "a", 3));
    pending_abort(&p, &key);
    pending_abort(&p, &key);
    pending_destroy(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_the_keys_that_wait_the_latest_is_written),
        cmocka_unit_test(sections_do_not_wait_for_each_other),
        cmocka_unit_test(a_write_that_cannot_be_made_holds_up_no_later_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
