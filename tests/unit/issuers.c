/*
 * trust/issuers: pins of CAs. Which chains are accepted is checked against a table in
 * tests/e2e/test_matrix.py.
 */
#include "trust/issuers.h"

#include "config/section.h"
#include "judging.h"

static void an_issuer_pin_accepts_what_it_issued_and_nothing_else(void **state)
{
    struct bench b;

    (void)state;
    open_bench(&b, NULL, "pin = issuer:%s", certs_key_pin(&sub));
    assert_int_equal(judge(&b, &by_sub, &sub, NULL), REASON_OK);
    assert_ptr_equal(b.verdict.pin, &b.config->sections[0]->pins.items[0]);
    /* the keys of its chain are those that a reload may revoke */
    assert_int_equal(b.verdict.ca_key_count, 1);
    assert_int_equal(judge(&b, &leaf, &sub, NULL), REASON_PKI); /* merely sent along */
    assert_int_equal(judge(&b, &by_sub, &ca, NULL), REASON_PIN_MISMATCH);
    assert_int_equal(judge(&b, &sub, NULL, NULL), REASON_PIN_MISMATCH); /* not for itself */
    assert_int_equal(judge(&b, &sub, &sub, NULL), REASON_PIN_MISMATCH);
    close_bench(&b);
}

/* The same certificate as server and as pinned file: the chain of one is no chain. */
static void a_pinned_ca_does_not_vouch_for_itself(void **state)
{
    struct cert self = certs_make(
        &(struct cert_order){.cn = "Self", .san = "DNS:api.example.com", .ca = true});
    struct bench b;

    (void)state;
    temp_text("self.pem", certs_pem(self.x509));
    open_bench(&b, NULL, "pin = issuer-cert:self.pem");
    assert_int_not_equal(judge(&b, &self, NULL, NULL), REASON_OK);
    assert_int_not_equal(judge(&b, &self, &self, NULL), REASON_OK);
    close_bench(&b);
    open_bench(&b, NULL, "pin = issuer:%s", certs_key_pin(&self));
    assert_int_not_equal(judge(&b, &self, &self, NULL), REASON_OK);
    close_bench(&b);
}

/* A root that says it has signed itself, and has not, is not the one that was pinned by its key. */
static void a_forged_root_of_the_pinned_key_is_refused(void **state)
{
    struct cert stranger = {.x509 = ca.x509, .key = other_ca.key};
    struct cert forged = certs_make(
        &(struct cert_order){.cn = "Example CA", .ca = true, .key = ca.key, .issuer = &stranger});
    struct bench b;

    (void)state;
    open_bench(&b, NULL, "pin = issuer:%s", certs_key_pin(&ca));
    assert_int_equal(judge(&b, &leaf, &ca, NULL), REASON_OK);
    assert_int_not_equal(judge(&b, &leaf, &forged, NULL), REASON_OK);
    close_bench(&b);
}

static void a_mismatch_says_what_a_digest_cannot_do(void **state)
{
    struct bench b;

    (void)state;
    open_bench(&b, NULL, "pin = issuer:%s", certs_key_pin(&ca));
    assert_int_equal(judge(&b, &by_sub, &sub, NULL), REASON_PIN_MISMATCH);
    assert_contains(b.verdict.detail, "issuer-cert:FILE");
    assert_int_equal(judge(&b, &twin, NULL, NULL), REASON_PIN_MISMATCH);
    assert_null(b.verdict.detail); /* self-signed: nothing is missing */
    close_bench(&b);
    temp_text("ca.pem", certs_pem(ca.x509));
    open_bench(&b, NULL, "pin = issuer-cert:ca.pem");
    assert_int_equal(judge(&b, &by_sub, &sub, NULL), REASON_OK);
    assert_int_equal(judge(&b, &twin, NULL, NULL), REASON_PIN_MISMATCH);
    close_bench(&b);
}

static void issuer_pins_have_dates(void **state)
{
    struct bench b;

    (void)state;
    temp_text("ca.pem", certs_pem(ca.x509));
    open_bench(&b, NULL, "pin = issuer:%s until=2027-01-16 name=sub", certs_key_pin(&sub));
    assert_int_equal(judge(&b, &by_sub, &sub, NULL), REASON_OK);
    assert_int_equal(judge_at(&b, NOW + DAY, &by_sub, &sub, NULL), REASON_EXPIRED_PINS);
    assert_contains(b.verdict.detail, "pin sub has until=2027-01-16");
    /* it would not have matched anyway */
    assert_int_equal(judge_at(&b, NOW + DAY, &leaf, &sub, NULL), REASON_PIN_MISMATCH);
    close_bench(&b);
    /* a live pin above one that is over */
    open_bench(&b, NULL, "pin = issuer:%s until=2027-01-02\npin = issuer-cert:ca.pem name=root",
               certs_key_pin(&sub));
    assert_int_equal(judge(&b, &by_sub, &sub, NULL), REASON_OK);
    assert_string_equal(pin_label(b.verdict.pin), "root");
    close_bench(&b);
    /* a server pin that is over does not stand in the way */
    open_bench(&b, NULL, "pin = %s until=2027-01-02\npin = issuer-cert:ca.pem name=root",
               certs_key_pin(&by_sub));
    assert_int_equal(judge(&b, &by_sub, &sub, NULL), REASON_OK);
    assert_int_equal(judge(&b, &by_sub, NULL, NULL), REASON_EXPIRED_PINS);
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_issuer_pin_accepts_what_it_issued_and_nothing_else),
        cmocka_unit_test(a_pinned_ca_does_not_vouch_for_itself),
        cmocka_unit_test(a_forged_root_of_the_pinned_key_is_refused),
        cmocka_unit_test(a_mismatch_says_what_a_digest_cannot_do),
        cmocka_unit_test(issuer_pins_have_dates),
    };

    return cmocka_run_group_tests(tests, judging_setup, judging_teardown);
}
