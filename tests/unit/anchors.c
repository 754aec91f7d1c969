/* trust/anchors: which anchors a section has. */
#include "trust/anchors.h"

#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "config/loader.h"
#include "config/section.h"
#include "judging.h"

/* Each list of anchors is read once, however many sections have it, and lives as long as they. */
static void equal_lists_of_anchors_share_a_store(void **state)
{
    struct config *c = take("[a.example]\nhost = api.example.com\nverify = pki\n"
                            "ca_file = shared.pem\n"
                            "[b.example]\nhost = api.example.com\nverify = pki\n"
                            "ca_file = shared.pem\n"
                            "[c.example]\nhost = api.example.com\nverify = pki\n"
                            "ca_file = shared.pem\nca_file = ca.pem\n");
    struct anchors *own = anchors_new();
    struct diag_list diags = {0};
    struct policy *policies[3];
    STACK_OF(X509) *sent = sk_X509_new_null();
    struct trust_verdict v;
    size_t i;

    (void)state;
    sk_X509_push(sent, leaf.x509);
    temp_text("shared.pem", certs_pem(ca.x509));
    policies[0] = policy_new(c->sections[0], own, NULL, &diags);
    /* whoever read it again now would find another CA */
    temp_text("shared.pem", certs_pem(other_ca.x509));
    policies[1] = policy_new(c->sections[1], own, NULL, &diags);
    policies[2] = policy_new(c->sections[2], own, NULL, &diags);
    anchors_free(own);
    assert_int_equal(diags.count, 0);
    for (i = 0; i < 3; i++) {
        assert_non_null(policies[i]);
        memset(&v, 0, sizeof(v));
        trust_judge(policies[i],
                    &(struct trust_evidence){.leaf = leaf.x509, .sent = sent, .complete = true},
                    NOW, &v);
        assert_true(v.trusted);
        trust_verdict_free(&v);
        policy_free(policies[i]);
    }
    /* a new load sees the new file, and another list is another store */
    own = anchors_new();
    policies[2] = policy_new(c->sections[2], own, NULL, &diags);
    policies[0] = policy_new(c->sections[0], own, NULL, &diags);
    memset(&v, 0, sizeof(v));
    trust_judge(policies[0],
                &(struct trust_evidence){.leaf = leaf.x509, .sent = sent, .complete = true}, NOW,
                &v);
    assert_int_equal(v.reason, REASON_PKI);
    trust_verdict_free(&v);
    trust_judge(policies[2],
                &(struct trust_evidence){.leaf = leaf.x509, .sent = sent, .complete = true}, NOW,
                &v);
    assert_true(v.trusted);
    trust_verdict_free(&v);
    policy_free(policies[0]);
    policy_free(policies[2]);
    anchors_free(own);
    anchors_free(NULL);
    policy_free(NULL);
    sk_X509_free(sent);
    config_free(c);
}

/* The anchors are the section's own: another section's in the same set do not leak into them. */
static void sections_do_not_share_each_others_anchors(void **state)
{
    (void)state;
    temp_text("other.pem", certs_pem(other_ca.x509));
    expect("verify = pki\nca_file = ca.pem", &leaf, REASON_OK);
    expect("verify = pki\nca_file = other.pem", &leaf, REASON_PKI);
    expect("verify = pki", &leaf, REASON_PKI); /* the system's */
}

static void a_directory_of_anchors_is_read(void **state)
{
    char name[64];

    (void)state;
    snprintf(name, sizeof(name), "hashed/%08lx.0",
             X509_NAME_hash_ex(X509_get_subject_name(ca.x509), NULL, NULL, NULL));
    temp_text(name, certs_pem(ca.x509));
    /* under any other name it is none */
    temp_text("hashed/other.pem", certs_pem(other_ca.x509));
    temp_text("hashed/0123456.0", certs_pem(other_ca.x509));
    temp_text("hashed/01234567.r0", certs_pem(other_ca.x509));
    temp_text("hashed/01234567.0~", certs_pem(other_ca.x509));
    expect("verify = pki\nca_dir = hashed", &leaf, REASON_OK);
    expect("verify = pki\nca_dir = hashed", &twin, REASON_PKI);
    expect("verify = pki\nca_dir = hashed", &by_other, REASON_PKI);
}

static void anchors_that_cannot_be_loaded_are_reported_with_their_line(void **state)
{
    static const char *const rows[] = {
        "ca_file = missing.pem", "ca_file = junk.pem", "ca_file = empty.pem", "ca_dir = missing.d",
        "ca_dir = empty.d",      "ca_dir = junk.pem",  "ca_dir = damaged.d"};
    size_t i;

    (void)state;
    temp_text("junk.pem", "nonsense\n");
    temp_text("empty.pem", "");
    temp_text("empty.d/ca.pem", certs_pem(ca.x509));
    temp_text("damaged.d/01234567.0", "nonsense\n");
    for (i = 0; i < COUNT(rows); i++) {
        struct config *c = take(keys("[api.example.com]\nverify = pki\n%s\n", rows[i]));
        struct diag_list diags = {0};

        assert_null(policy_new(c->sections[0], stores, NULL, &diags));
        assert_int_equal(diags.count, 1);
        assert_int_equal(diags.items[0].line, 3);
        assert_string_equal(diags.items[0].file, temp_path("x.conf"));
        assert_contains(diags.items[0].text, strchr(rows[i], ' ') + 3);
        diag_free(&diags);
        config_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_lists_of_anchors_share_a_store),
        cmocka_unit_test(sections_do_not_share_each_others_anchors),
        cmocka_unit_test(a_directory_of_anchors_is_read),
        cmocka_unit_test(anchors_that_cannot_be_loaded_are_reported_with_their_line),
    };

    return cmocka_run_group_tests(tests, judging_setup, judging_teardown);
}
