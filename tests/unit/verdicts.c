/*
 * trust/trust beyond a server's pins: issuers, report mode, first use, what a reload takes away.
 * Which chains are accepted is held to a table in tests/e2e/test_matrix.py.
 */
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/units.h"
#include "certs.h"
#include "config/loader.h"
#include "config/section.h"
#include "help.h"
#include "learned/learned.h"
#include "learning.h"
#include "nofiles.h"
#include "trust/anchors.h"
#include "trust/peerchain.h"
#include "trust/policy.h"
#include "trust/recheck.h"
#include "trust/trust.h"

#define NOW CERTS_NOW
#define DAY 86400

static struct cert ca, sub, other_ca, leaf, by_sub, twin;
static struct anchors *anchors;

/* A section made ready, and what it says of a chain. */
struct bench {
    struct config *config;
    struct learned *learned;
    struct policy *policy;
    struct trust_verdict verdict;
};

static void open_bench(struct bench *b, struct learned *learned, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void open_bench(struct bench *b, struct learned *learned, const char *format, ...)
{
    struct diag_list diags = {0};
    char keys[2048], text[4096];
    va_list ap;

    memset(b, 0, sizeof(*b));
    va_start(ap, format);
    vsnprintf(keys, sizeof(keys), format, ap);
    va_end(ap);
    snprintf(text, sizeof(text), "[api.example.com]\n%s\n", keys);
    b->config = config_parse(temp_path("x.conf"), text, strlen(text), &diags);
    if (diags.count == 0)
        b->policy = policy_new(b->config->sections[0], anchors, learned, &diags);
    if (diags.count)
        fail_msg("%s\n%s", text, diags.items[0].text);
    diag_free(&diags);
}

static void close_bench(struct bench *b)
{
    trust_verdict_free(&b->verdict);
    policy_free(b->policy);
    config_free(b->config);
}

static enum reason judge_at(struct bench *b, int64_t now, const struct cert *server,
                            const struct cert *second, const struct cert *third)
{
    const struct cert *const sent[] = {server, second, third};
    struct trust_evidence e = {.leaf = server->x509, .sent = sk_X509_new_null(), .complete = true};
    size_t i;

    for (i = 0; i < COUNT(sent); i++)
        if (sent[i])
            sk_X509_push(e.sent, sent[i]->x509);
    trust_verdict_free(&b->verdict);
    trust_judge(b->policy, &e, now, &b->verdict);
    assert_int_equal(b->verdict.trusted, b->verdict.reason == REASON_OK);
    assert_int_equal(b->verdict.trusted, b->verdict.x509_error == X509_V_OK);
    sk_X509_free(e.sent);
    return b->verdict.reason;
}

static enum reason judge(struct bench *b, const struct cert *server, const struct cert *second,
                         const struct cert *third)
{
    return judge_at(b, NOW, server, second, third);
}

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
static void a_pinned_authority_does_not_vouch_for_itself(void **state)
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

static void report_mode_notes_what_it_lets_through(void **state)
{
    struct bench b;

    (void)state;
    temp_text("ca.pem", certs_pem(ca.x509));
    open_bench(&b, NULL,
               "verify = pin+pki\nca_file = ca.pem\npin = %s name=next\n"
               "enforce = report until=2027-01-16",
               certs_key_pin(&twin));
    assert_int_equal(judge(&b, &leaf, NULL, NULL), REASON_OK);
    assert_int_equal(b.verdict.reported, REASON_PIN_MISMATCH);
    assert_null(b.verdict.pin);
    assert_int_equal(judge(&b, &twin, NULL, NULL), REASON_PKI);
    assert_int_equal(judge_at(&b, NOW + DAY, &leaf, NULL, NULL), REASON_PIN_MISMATCH);
    assert_int_equal(b.verdict.reported, REASON_OK);
    close_bench(&b);
    open_bench(&b, NULL,
               "verify = pin+pki\nca_file = ca.pem\npin = %s\nenforce = report\nrevoked = %s",
               certs_key_pin(&leaf), certs_key_pin(&ca));
    assert_int_equal(judge(&b, &leaf, NULL, NULL), REASON_REVOKED);
    close_bench(&b);
    open_bench(&b, NULL, "verify = pin+pki\nca_file = ca.pem\npin = %s\nenforce = report",
               certs_key_pin(&leaf));
    assert_int_equal(judge(&b, &leaf, NULL, NULL), REASON_OK);
    assert_int_equal(b.verdict.reported, REASON_OK);
    assert_non_null(b.verdict.pin);
    close_bench(&b);
}

static struct learned *new_store(const char *name)
{
    char *why = NULL;
    struct learned *l = learned_open(temp_path("%s", name), true, LEARNEDDIR_OWNER, &why);

    if (!l)
        fail_msg("%s", why);
    return l;
}

static void keep(struct bench *b, struct learned *l)
{
    learn_key(l, b->policy->section->name, b->policy->hostport, b->verdict.server.key, NOW);
}

static void a_first_use_is_no_yes_until_the_key_is_kept(void **state)
{
    struct learned *l = new_store("first");
    struct bench b;

    (void)state;
    open_bench(&b, l, "verify = tofu");
    assert_int_equal(judge(&b, &leaf, &ca, NULL), REASON_FIRST_USE);
    assert_false(b.verdict.trusted);
    keep(&b, l);
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

static void judge_kept_key(void *arg)
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
    keep(&b, l);
    assert_no_file_calls(judge_kept_key, &b);
    temp_text("unread/learned", "");
    assert_no_file_calls(judge_kept_key, &b);
    close_bench(&b);
    learned_release(l);
}

static void a_first_use_is_held_to_all_but_the_pin(void **state)
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

/* The leaf's host announces the twin's key, over a connection that was accepted on its own. */
static void announce_twin(struct learned *l, int64_t until)
{
    struct learned_via via = {.known = true, .role = PIN_SERVER, .kind = PIN_KEY};
    uint8_t digest[CERT_DIGEST_SIZE];
    struct learned_key key;

    assert_true(cert_key_digest(twin.x509, digest));
    assert_true(cert_key_digest(leaf.x509, via.digest));
    assert_true(learnedkey_init(&key, "api.example.com", "api.example.com:443", digest, NOW));
    learn_announced(l, &key, &via, until);
}

static void announced_keys_count_only_where_they_are_asked_for(void **state)
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
static void the_list_of_pins_tells_where_each_is_from(void **state)
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

static enum reason recheck_at(const struct trust_verdict *v, int64_t now, const char *keys)
{
    char detail[TRUST_DETAIL_SIZE];
    enum reason reason;
    struct bench b;

    open_bench(&b, NULL, "%s", keys);
    reason = recheck_verdict(b.policy, v, NOW, now, detail);
    close_bench(&b);
    return reason;
}

static enum reason recheck(const struct trust_verdict *v, const char *keys)
{
    return recheck_at(v, NOW, keys);
}

static const char *keys(const char *format, const char *a, const char *b)
{
    static char text[512];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(text, sizeof(text), format, a, b);
#pragma GCC diagnostic pop
    return text;
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

static void a_pin_that_has_ended_takes_trust_away(void **state)
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

static int setup(void **state)
{
    (void)state;
    ca = certs_ca("Example CA");
    other_ca = certs_ca("Other CA");
    sub = certs_make(&(struct cert_order){.cn = "Sub CA", .ca = true, .issuer = &ca});
    leaf = certs_leaf("DNS:api.example.com", &ca);
    by_sub = certs_leaf("DNS:api.example.com", &sub);
    twin = certs_leaf("DNS:api.example.com", NULL);
    anchors = anchors_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    anchors_free(anchors);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_issuer_pin_accepts_what_it_issued_and_nothing_else),
        cmocka_unit_test(a_pinned_authority_does_not_vouch_for_itself),
        cmocka_unit_test(a_forged_root_of_the_pinned_key_is_refused),
        cmocka_unit_test(a_mismatch_says_what_a_digest_cannot_do),
        cmocka_unit_test(issuer_pins_have_dates),
        cmocka_unit_test(report_mode_notes_what_it_lets_through),
        cmocka_unit_test(a_first_use_is_no_yes_until_the_key_is_kept),
        cmocka_unit_test(a_verdict_reads_no_file),
        cmocka_unit_test(a_first_use_is_held_to_all_but_the_pin),
        cmocka_unit_test(announced_keys_count_only_where_they_are_asked_for),
        cmocka_unit_test(the_list_of_pins_tells_where_each_is_from),
        cmocka_unit_test(a_later_policy_takes_trust_away),
        cmocka_unit_test(a_pin_that_has_ended_takes_trust_away),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
