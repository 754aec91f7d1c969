/* trust/recheck: what a later policy, or a later day, takes away. */
#include "trust/recheck.h"

#include "base/units.h"
#include "judging.h"
#include "learned/learned.h"
#include "learning.h"

static enum reason recheck_at(const struct trust_verdict *v, int64_t now, const char *lines)
{
    char detail[TRUST_DETAIL_SIZE];
    enum reason reason;
    struct bench b;

    open_bench(&b, NULL, "%s", lines);
    reason = recheck_verdict(b.policy, v, NOW, now, detail);
    close_bench(&b);
    return reason;
}

static enum reason recheck(const struct trust_verdict *v, const char *lines)
{
    return recheck_at(v, NOW, lines);
}

static void a_later_policy_takes_trust_away(void **state)
{
    const char *mine = certs_key_pin(&by_sub), *others = certs_key_pin(&twin);
    struct bench b;

    (void)state;
    open_bench(&b, NULL, "pin = %s", mine);
    assert_int_equal(judge(&b, &by_sub, &sub, NULL), REASON_OK);
    assert_int_equal(recheck(&b.verdict, keys("pin = %s\n%s", mine, "")), REASON_OK);
    assert_int_equal(recheck(&b.verdict, keys("pin = %s\nrevoked = %s", mine, mine)),
                     REASON_REVOKED);
    /* a server pin alone: the issuer's key is no matter */
    assert_int_equal(recheck(&b.verdict, keys("pin = %s\nrevoked = %s", mine, certs_key_pin(&sub))),
                     REASON_OK);
    assert_int_equal(recheck(&b.verdict, keys("pin = %s\n%s", others, "")), REASON_OK);
    assert_int_equal(recheck(&b.verdict, keys("pin = %s\n%s", others, "on_pin_removed = close")),
                     REASON_PIN_REMOVED);
    assert_int_equal(recheck(&b.verdict, keys("pin = %s name=x until=2027-09-09\n%s", mine,
                                              "on_pin_removed = close")),
                     REASON_OK);
    /* the digest in another role is not the same pin */
    assert_int_equal(
        recheck(&b.verdict, keys("pin = issuer:%s\n%s", mine, "on_pin_removed = close")),
        REASON_PIN_REMOVED);
    close_bench(&b);
    open_bench(&b, NULL, "pin = issuer:%s", certs_key_pin(&sub));
    assert_int_equal(judge(&b, &by_sub, &sub, NULL), REASON_OK);
    assert_int_equal(recheck(&b.verdict, keys("pin = %s\nrevoked = %s", mine, certs_key_pin(&sub))),
                     REASON_REVOKED);
    close_bench(&b);
}

static void a_pin_that_has_expired_takes_trust_away(void **state)
{
    struct learned *l = new_store("ended");
    char day[UNITS_DATE_SIZE], detail[TRUST_DETAIL_SIZE];
    struct bench b;
    const char *close;

    (void)state;
    units_format_date(NOW + DAY, day);
    open_bench(&b, NULL, "pin = %s until=%s", certs_key_pin(&twin), day);
    assert_int_equal(judge(&b, &twin, NULL, NULL), REASON_OK);
    close = keys("pin = %s until=%s\non_pin_removed = close", certs_key_pin(&twin), day);
    assert_int_equal(recheck_at(&b.verdict, NOW, close), REASON_OK);
    assert_int_equal(recheck_at(&b.verdict, NOW + DAY, close), REASON_EXPIRED_PINS);
    /* it is the policy of now that says when; and one that keeps, keeps */
    assert_int_equal(
        recheck_at(&b.verdict, NOW + DAY,
                   keys("pin = %s\n%s", certs_key_pin(&twin), "on_pin_removed = close")),
        REASON_OK);
    assert_int_equal(
        recheck_at(&b.verdict, NOW + DAY, keys("pin = %s until=%s", certs_key_pin(&twin), day)),
        REASON_OK);
    close_bench(&b);
    /* a learned one, which ends with the pin that it goes back to */
    announce_twin(l, NOW + 9 * DAY);
    open_bench(&b, l, "pin = %s until=%s\npins_url = /pins\non_pin_removed = close",
               certs_key_pin(&leaf), day);
    assert_int_equal(judge(&b, &twin, NULL, NULL), REASON_OK);
    assert_int_equal(recheck_verdict(b.policy, &b.verdict, NOW, NOW, detail), REASON_OK);
    assert_int_equal(recheck_verdict(b.policy, &b.verdict, NOW, NOW + DAY, detail),
                     REASON_EXPIRED_PINS);
    /* once: what stays open after that day was let stay */
    assert_int_equal(recheck_verdict(b.policy, &b.verdict, NOW + DAY, NOW + 2 * DAY, detail),
                     REASON_OK);
    assert_contains(detail, certs_key_pin(&twin));
    close_bench(&b);
    learned_release(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_later_policy_takes_trust_away),
        cmocka_unit_test(a_pin_that_has_expired_takes_trust_away),
    };

    return cmocka_run_group_tests(tests, judging_setup, judging_teardown);
}
