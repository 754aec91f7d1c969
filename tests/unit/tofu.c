/* trust/tofu: trust on first use. */
#include "trust/tofu.h"

#include <unistd.h>

#include "config/section.h"
#include "judging.h"
#include "learned/learned.h"
#include "learning.h"
#include "nofiles.h"

/* Stores the key of the last verdict, as a first use does. */
static void store_key(struct bench *b, struct learned *l)
{
    learn_key(l, b->policy->section->name, b->policy->hostport, b->verdict.server.key, NOW);
}

static void a_first_use_is_refused_until_the_key_is_stored(void **state)
{
    struct learned *l = new_store("first");
    struct bench b;

    (void)state;
    open_bench(&b, l, "verify = tofu");
    assert_int_equal(judge(&b, &leaf, &ca, NULL), REASON_FIRST_USE);
    assert_false(b.verdict.trusted);
    store_key(&b, l);
    assert_int_equal(judge(&b, &leaf, &ca, NULL), REASON_OK);
    assert_string_equal(pin_label(b.verdict.pin), certs_key_pin(&leaf));
    assert_int_equal(judge(&b, &twin, NULL, NULL), REASON_TOFU_CHANGED);
    assert_contains(b.verdict.detail, certs_key_pin(&leaf));
    assert_contains(b.verdict.detail, certs_key_pin(&twin));
    assert_contains(b.verdict.detail, "pinproxy learned accept api.example.com ");
    close_bench(&b);
    /* under another mode it counts for nothing */
    open_bench(&b, l, "pin = %s", certs_key_pin(&twin));
    assert_int_equal(judge(&b, &leaf, &ca, NULL), REASON_PIN_MISMATCH);
    close_bench(&b);
    /* nor for another port */
    open_bench(&b, l, "verify = tofu\nport = 8443");
    assert_int_equal(judge(&b, &twin, NULL, NULL), REASON_FIRST_USE);
    close_bench(&b);
    learned_release(l);
}

static void judge_stored_key(void *arg)
{
    struct bench *b = arg;

    if (judge(b, &leaf, &ca, NULL) != REASON_OK
        || judge(b, &twin, NULL, NULL) != REASON_TOFU_CHANGED)
        _exit(1);
}

static void a_verdict_reads_no_file(void **state)
{
    struct learned *l = new_store("unread");
    struct bench b;

    (void)state;
    open_bench(&b, l, "verify = tofu");
    assert_int_equal(judge(&b, &leaf, &ca, NULL), REASON_FIRST_USE);
    store_key(&b, l);
    assert_no_file_calls(judge_stored_key, &b);
    temp_text("unread/learned", "");
    assert_no_file_calls(judge_stored_key, &b);
    close_bench(&b);
    learned_release(l);
}

static void a_first_use_is_checked_for_all_but_the_pin(void **state)
{
    struct cert weak = certs_make(&(struct cert_order){.key = certs_rsa_key(1024)});
    struct learned *l = new_store("held");
    struct bench b;

    (void)state;
    temp_text("ca.pem", certs_pem(ca.x509));
    open_bench(&b, l, "verify = tofu\nrevoked = %s\nalso_check = name", certs_key_pin(&twin));
    assert_int_equal(judge(&b, &twin, NULL, NULL), REASON_REVOKED);
    assert_int_equal(judge(&b, &weak, NULL, NULL), REASON_WEAK);
    assert_int_equal(judge(&b, &other_ca, NULL, NULL), REASON_NAME);
    close_bench(&b);
    open_bench(&b, l, "verify = tofu+pki\nca_file = ca.pem");
    assert_int_equal(judge(&b, &twin, NULL, NULL), REASON_PKI);
    assert_int_equal(judge(&b, &leaf, NULL, NULL), REASON_FIRST_USE);
    close_bench(&b);
    /* what is known beforehand leaves no first use */
    open_bench(&b, l, "verify = tofu\npin = %s", certs_key_pin(&leaf));
    assert_int_equal(judge(&b, &leaf, NULL, NULL), REASON_OK);
    assert_int_equal(judge(&b, &twin, NULL, NULL), REASON_PIN_MISMATCH);
    close_bench(&b);
    learned_release(l);
}

/* What the key of a server is to a section, by the pins that the section has and those that match. */
static void a_key_is_known_changed_new_or_a_mismatch(void **state)
{
    const struct pin pin = pin_make(PIN_SERVER, PIN_KEY, (const uint8_t[CERT_DIGEST_SIZE]){1});
    const struct pin_match none = {0}, live = {.live = &pin}, expired = {.expired = &pin};
    struct learned *l = new_store("decide");
    struct policy_pins pins;
    struct bench b;

    (void)state;
    open_bench(&b, l, "verify = tofu");
    policy_pins(b.policy, &pins);
    assert_int_equal(tofu_decide(&pins, &none), TOFU_FIRST_USE);
    assert_int_equal(tofu_decide(&pins, &live), TOFU_KNOWN);
    assert_int_equal(judge(&b, &leaf, NULL, NULL), REASON_FIRST_USE);
    store_key(&b, l);
    policy_pins(b.policy, &pins);
    assert_int_equal(tofu_decide(&pins, &none), TOFU_CHANGED);
    assert_int_equal(tofu_decide(&pins, &live), TOFU_KNOWN);
    /* its own reason is more exact than that the key is another */
    assert_int_equal(tofu_decide(&pins, &expired), TOFU_MISMATCH);
    close_bench(&b);
    open_bench(&b, NULL, "verify = tofu\npin = %s", certs_key_pin(&twin));
    policy_pins(b.policy, &pins);
    assert_int_equal(tofu_decide(&pins, &none), TOFU_MISMATCH);
    assert_int_equal(tofu_decide(&pins, &expired), TOFU_MISMATCH);
    close_bench(&b);
    learned_release(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_first_use_is_refused_until_the_key_is_stored),
        cmocka_unit_test(a_verdict_reads_no_file),
        cmocka_unit_test(a_key_is_known_changed_new_or_a_mismatch),
        cmocka_unit_test(a_first_use_is_checked_for_all_but_the_pin),
    };

    return cmocka_run_group_tests(tests, judging_setup, judging_teardown);
}
