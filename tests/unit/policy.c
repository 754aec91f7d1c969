/* trust/policy: the pins that a policy accepts. */
#include "trust/policy.h"

#include "base/units.h"
#include "config/section.h"
#include "judging.h"
#include "learned/learned.h"
#include "learning.h"

static void announced_keys_are_accepted_only_where_they_are_asked_for(void **state)
{
    struct learned *l = new_store("announced");
    char day[UNITS_DATE_SIZE];
    struct bench b;

    (void)state;
    announce_twin(l, NOW + 9 * DAY);
    open_bench(&b, l, "pin = %s\npins_url = /pins", certs_key_pin(&leaf));
    assert_int_equal(judge(&b, &twin, NULL, NULL), REASON_OK);
    assert_int_equal(judge_at(&b, NOW + 9 * DAY, &twin, NULL, NULL), REASON_EXPIRED_PINS);
    close_bench(&b);
    open_bench(&b, l, "pin = %s", certs_key_pin(&leaf));
    assert_int_equal(judge(&b, &twin, NULL, NULL), REASON_PIN_MISMATCH);
    close_bench(&b);
    open_bench(&b, l, "pin = %s\npins_url = /pins\nrevoked = %s", certs_key_pin(&leaf),
               certs_key_pin(&twin));
    assert_int_equal(judge(&b, &twin, NULL, NULL), REASON_REVOKED);
    close_bench(&b);
    /* the pin that it goes back to: gone, revoked, and at its end */
    open_bench(&b, l, "pin = %s\npins_url = /pins", certs_key_pin(&ca));
    assert_int_equal(judge(&b, &twin, NULL, NULL), REASON_PIN_MISMATCH);
    close_bench(&b);
    open_bench(&b, l, "pin = issuer:%s\npins_url = /pins", certs_key_pin(&leaf));
    assert_int_equal(judge(&b, &twin, NULL, NULL), REASON_PIN_MISMATCH);
    close_bench(&b);
    open_bench(&b, l, "pin = %s\npins_url = /pins\nrevoked = %s", certs_key_pin(&leaf),
               certs_key_pin(&leaf));
    assert_int_equal(judge(&b, &twin, NULL, NULL), REASON_PIN_MISMATCH);
    close_bench(&b);
    units_format_date(NOW + DAY, day);
    open_bench(&b, l, "pin = %s until=%s\npins_url = /pins", certs_key_pin(&leaf), day);
    assert_int_equal(judge(&b, &twin, NULL, NULL), REASON_OK);
    assert_int_equal(judge_at(&b, NOW + DAY, &twin, NULL, NULL), REASON_EXPIRED_PINS);
    close_bench(&b);
    learned_release(l);
}

/* One list has every pin that is accepted, each with its origin. */
static void the_list_of_pins_says_where_each_is_from(void **state)
{
    struct learned *l = new_store("origins");
    struct learned_via via = {.known = true, .role = PIN_SERVER, .kind = PIN_KEY};
    uint8_t stored[CERT_DIGEST_SIZE], announced[CERT_DIGEST_SIZE];
    struct learned_key key;
    struct policy_pins pins;
    struct bench b;

    (void)state;
    assert_true(cert_key_digest(leaf.x509, stored) && cert_key_digest(twin.x509, announced)
                && cert_key_digest(by_sub.x509, via.digest));
    learn_key(l, "api.example.com", "api.example.com:443", stored, NOW);
    assert_true(learnedkey_init(&key, "api.example.com", "api.example.com:443", announced, NOW));
    learn_announced(l, &key, &via, NOW + 9 * DAY);
    open_bench(&b, l, "verify = tofu\npin = %s until=2027-01-20\npins_url = /pins",
               certs_key_pin(&by_sub));
    policy_pins(b.policy, &pins);
    assert_int_equal(pins.count, 3);
    assert_ptr_equal(policy_pins_at(&pins, 0), &b.config->sections[0]->pins.items[0]);
    assert_int_equal(policy_pins_at(&pins, 0)->origin, PIN_CONFIGURED);
    assert_int_equal(policy_pins_at(&pins, 1)->origin, PIN_FIRST_USE);
    assert_string_equal(policy_pins_at(&pins, 1)->text, certs_key_pin(&leaf));
    assert_int_equal(policy_pins_at(&pins, 1)->until, 0);
    assert_int_equal(policy_pins_at(&pins, 1)->first_seen, NOW - NOW % DAY);
    assert_null(policy_pins_at(&pins, 1)->via);
    assert_int_equal(policy_pins_at(&pins, 2)->origin, PIN_ANNOUNCED);
    assert_string_equal(policy_pins_at(&pins, 2)->text, certs_key_pin(&twin));
    assert_ptr_equal(policy_pins_at(&pins, 2)->via, policy_pins_at(&pins, 0));
    /* it ends with the pin that it depends on */
    assert_int_equal(policy_pins_at(&pins, 2)->until, policy_pins_at(&pins, 0)->until);
    assert_int_equal(judge(&b, &twin, NULL, NULL), REASON_OK);
    assert_int_equal(b.verdict.pin->origin, PIN_ANNOUNCED);
    assert_string_equal(pin_label(b.verdict.pin), certs_key_pin(&twin));
    assert_int_equal(judge(&b, &leaf, NULL, NULL), REASON_OK);
    assert_int_equal(b.verdict.pin->origin, PIN_FIRST_USE);
    close_bench(&b);
    learned_release(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(announced_keys_are_accepted_only_where_they_are_asked_for),
        cmocka_unit_test(the_list_of_pins_says_where_each_is_from),
    };

    return cmocka_run_group_tests(tests, judging_setup, judging_teardown);
}
