/* trust/peerchain: what a refusal shows of the presented chain. */
#include "trust/peerchain.h"

#include <openssl/x509.h>
#include <stdlib.h>

#include "config/section.h"
#include "judging.h"

/* SPEC 6: the field pki of a mismatch tells a renewal from an attack. */
static void a_mismatch_shows_what_the_pki_finds(void **state)
{
    struct config *c = take(keys("[api.example.com]\n%sca_file = ca.pem\n", pin(&other_ca)));
    struct diag_list diags = {0};
    struct policy *policy = policy_new(c->sections[0], stores, NULL, &diags);
    const struct cert *const rows[] = {&leaf, &twin};
    static const char *const want[] = {"valid", "at depth 0"};
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        STACK_OF(X509) *sent = sk_X509_new_null();
        struct trust_verdict v = {0};
        char *text;

        sk_X509_push(sent, rows[i]->x509);
        trust_judge(policy,
                    &(struct trust_evidence){.leaf = rows[i]->x509, .sent = sent, .complete = true},
                    NOW, &v);
        assert_int_equal(v.reason, REASON_PIN_MISMATCH);
        text = peerchain_pki(policy, &v, NOW);
        assert_contains(text, want[i]);
        free(text);
        trust_verdict_free(&v);
        sk_X509_free(sent);
    }
    policy_free(policy);
    config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mismatch_shows_what_the_pki_finds),
    };

    return cmocka_run_group_tests(tests, judging_setup, judging_teardown);
}
