#include "trust/trust.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "learned/learned.h"
#include "trust/asn1time.h"
#include "trust/certname.h"
#include "trust/chain.h"
#include "trust/issuers.h"
#include "trust/ocsp.h"
#include "trust/tofu.h"

/* One judgement under way. */
struct eval {
    const struct policy *policy;
    const struct config_section *section;
    const struct trust_evidence *evidence;
    X509 *leaf;
    uint8_t key[CERT_DIGEST_SIZE]; /* the leaf's */
    uint8_t cert[CERT_DIGEST_SIZE];
    int64_t now;
    struct trust_verdict *verdict;
    const struct pin *expired; /* a pin that would match, but for its date */
    struct pin learned;        /* ... when it is a learned one */
    char learned_text[PIN_TEXT_SIZE];
};

static bool refuse(struct eval *t, enum reason reason, int x509_error, const char *detail)
{
    t->verdict->reason = reason;
    t->verdict->x509_error = x509_error == X509_V_OK ? X509_V_ERR_UNSPECIFIED : x509_error;
    free(t->verdict->detail);
    t->verdict->detail = *detail ? strdup(detail) : NULL; /* without memory, without words */
    return false;
}

/* The deny list. */

/* Notes a key that a later reload may revoke. False when memory is short: then it is refused. */
static bool note_key(struct eval *t, const uint8_t key[CERT_DIGEST_SIZE])
{
    struct trust_verdict *v = t->verdict;
    uint8_t(*keys)[CERT_DIGEST_SIZE] = realloc(v->keys, (v->key_count + 1) * sizeof(*keys));

    if (!keys)
        return refuse(t, REASON_MEMORY, X509_V_ERR_OUT_OF_MEM, "");
    v->keys = keys;
    memcpy(v->keys[v->key_count++], key, CERT_DIGEST_SIZE);
    return true;
}

static bool leaf_not_revoked(struct eval *t)
{
    if (!note_key(t, t->key))
        return false;
    if (!policy_is_revoked(t->section, t->key))
        return true;
    return refuse(t, REASON_REVOKED, X509_V_ERR_CERT_REVOKED, "the server's key is revoked");
}

/* Every certificate of a verified chain; the leaf has been looked at. */
static bool chain_not_revoked(struct eval *t, const STACK_OF(X509) *chain)
{
    char detail[TRUST_DETAIL_SIZE];
    uint8_t key[CERT_DIGEST_SIZE];
    struct cert_info info;
    int i;

    for (i = 1; i < sk_X509_num(chain); i++) {
        if (!cert_key_digest(sk_X509_value(chain, i), key)) {
            snprintf(detail, sizeof(detail), "the certificate at depth %d cannot be read", i);
            return refuse(t, REASON_REVOKED, X509_V_ERR_CERT_REVOKED, detail);
        }
        if (!note_key(t, key))
            return false;
        if (!policy_is_revoked(t->section, key))
            continue;
        (void)cert_describe(sk_X509_value(chain, i), &info);
        snprintf(detail, sizeof(detail), "the key of %s, at depth %d, is revoked", info.subject, i);
        cert_info_free(&info);
        return refuse(t, REASON_REVOKED, X509_V_ERR_CERT_REVOKED, detail);
    }
    return true;
}

/* Pins. */

/* Takes a pin that matches if it is live; one that is over is remembered, to say so. */
static bool take_pin(struct eval *t, const struct pin *pin)
{
    if (pin_is_expired(pin, t->now)) {
        t->expired = pin;
        return false;
    }
    t->verdict->pin = pin;
    return true;
}

/* As take_pin(), of a learned key, which the verdict gets a copy of, text and all. */
static bool take_learned(struct eval *t, const struct learned_key *k)
{
    struct pin *copy;

    t->learned = (struct pin){.kind = PIN_KEY, .until = k->until, .text = t->learned_text};
    memcpy(t->learned.digest, k->digest, CERT_DIGEST_SIZE);
    pin_format_key(k->digest, t->learned_text);
    if (!take_pin(t, &t->learned))
        return false;
    copy = malloc(sizeof(*copy) + PIN_TEXT_SIZE);
    t->verdict->pin = t->verdict->learned = copy;
    if (!copy)
        return false;
    *copy = t->learned;
    copy->text = memcpy(copy + 1, t->learned_text, PIN_TEXT_SIZE);
    return true;
}

/* A live server pin of the configuration, or one learned, matches the server's own certificate. */
static bool match_server(struct eval *t)
{
    struct learned_key keys[LEARNED_KEYS_MAX];
    size_t count, i;

    for (i = 0; i < t->section->pins.count; i++) {
        const struct pin *pin = &t->section->pins.items[i];

        if (pin->role == PIN_SERVER
            && memcmp(pin->digest, pin->kind == PIN_KEY ? t->key : t->cert, CERT_DIGEST_SIZE) == 0
            && take_pin(t, pin))
            return true;
    }
    count = policy_learned_keys(t->policy, keys);
    for (i = 0; i < count; i++)
        if (memcmp(keys[i].digest, t->key, CERT_DIGEST_SIZE) == 0 && take_learned(t, &keys[i]))
            return true;
    return false;
}

/* A live issuer pin matches in a chain that has been verified; never the leaf. */
static bool match_issuer(struct eval *t, const STACK_OF(X509) *chain)
{
    int depth;
    size_t i;

    for (i = 0; i < t->section->pins.count; i++) {
        const struct pin *pin = &t->section->pins.items[i];

        for (depth = 1; pin->role == PIN_ISSUER && depth < sk_X509_num(chain); depth++)
            if (issuers_pin_is_of(pin, sk_X509_value(chain, depth)) && take_pin(t, pin))
                return true;
    }
    return false;
}

/* No pin matched that is still live. */
static bool refuse_pins(struct eval *t, const char *hint)
{
    char detail[TRUST_DETAIL_SIZE], day[UNITS_DATE_SIZE];

    if (!t->expired) {
        issuers_describe_misplaced(&t->section->pins, t->evidence->sent, detail, sizeof(detail));
        return refuse(t, REASON_PIN_MISMATCH, X509_V_ERR_CERT_REJECTED, *detail ? detail : hint);
    }
    units_format_date(t->expired->until, day);
    snprintf(detail, sizeof(detail), "pin %s has until=%s", pin_label(t->expired), day);
    return refuse(t, REASON_EXPIRED_PINS, X509_V_ERR_CERT_HAS_EXPIRED, detail);
}

/* The server's own key is strong enough, and not one whose signatures take too long. */
static bool key_is_strong(struct eval *t)
{
    EVP_PKEY *key = X509_get0_pubkey(t->leaf);
    const bool strong = key && chain_key_is_strong(key);
    char detail[TRUST_DETAIL_SIZE];

    if (strong && chain_key_is_bounded(key))
        return true;
    snprintf(detail, sizeof(detail), "the server's key has %d bits%s",
             key ? EVP_PKEY_get_bits(key) : 0,
             strong ? ": RSA keys may have 8192, and an exponent of 64" : "");
    return refuse(t, REASON_WEAK, X509_V_ERR_EE_KEY_TOO_SMALL, detail);
}

/* also_check: what the PKI would have looked at, where a pin alone would do. */
static bool also_check(struct eval *t)
{
    const char *name = t->section->verify_name;
    char detail[TRUST_DETAIL_SIZE];

    if ((t->section->also_check & ALSO_CHECK_NAME) && !certname_matches(t->leaf, name)) {
        snprintf(detail, sizeof(detail), "the certificate is not for %s", name);
        return refuse(t, REASON_NAME, X509_V_ERR_HOSTNAME_MISMATCH, detail);
    }
    if (t->section->also_check & ALSO_CHECK_DATES) {
        if (asn1time_compare(X509_get0_notBefore(t->leaf), t->now) >= 0)
            return refuse(t, REASON_DATES, X509_V_ERR_CERT_NOT_YET_VALID,
                          "the certificate is not valid yet");
        if (asn1time_compare(X509_get0_notAfter(t->leaf), t->now) <= 0)
            return refuse(t, REASON_DATES, X509_V_ERR_CERT_HAS_EXPIRED,
                          "the certificate has expired");
    }
    return true;
}

/* Chains. */

static bool verify(struct eval *t, STACK_OF(X509) *anchors, struct chain_result *result)
{
    const struct chain_request request = chain_request(t->policy, t->leaf, t->evidence->sent,
                                                       anchors, t->now);

    return chain_verify(&request, result);
}

static bool refuse_chain(struct eval *t, const struct chain_result *r)
{
    char detail[TRUST_DETAIL_SIZE];

    snprintf(detail, sizeof(detail), "%s at depth %d", X509_verify_cert_error_string(r->error),
             r->depth);
    return refuse(t, chain_is_weakness(r->error) ? REASON_WEAK : REASON_PKI, r->error, detail);
}

static bool staple_holds(struct eval *t, const STACK_OF(X509) *chain)
{
    const struct trust_evidence *e = t->evidence;
    const char *why;

    if (!policy_wants_staple(t->policy) || !e->complete)
        return true;
    /* a certificate that is an anchor itself has no issuer but itself */
    why = ocsp_check(e->staple, e->staple_len, t->leaf,
                     sk_X509_value(chain, sk_X509_num(chain) > 1 ? 1 : 0), t->now);
    return why ? refuse(t, REASON_PKI, X509_V_ERR_OCSP_VERIFY_FAILED, why) : true;
}

/* What has to hold of a chain that has been verified. */
static bool chain_holds(struct eval *t, STACK_OF(X509) *chain)
{
    sk_X509_pop_free(t->verdict->verified, X509_free);
    t->verdict->verified = X509_chain_up_ref(chain);
    return chain_not_revoked(t, chain) && key_is_strong(t) && staple_holds(t, chain);
}

/* The whole of PKI verification, and the deny list over the chain that it built. */
static bool pki_holds(struct eval *t)
{
    struct chain_result r;
    bool ok = verify(t, NULL, &r) ? chain_holds(t, r.chain) : refuse_chain(t, &r);

    chain_free(&r);
    return ok;
}

/* verify = pin, and no server pin has matched: a chain to a pinned issuer, which is then all. */
static bool issuer_holds(struct eval *t)
{
    struct issuers found;
    struct chain_result r = {0};
    bool ok;

    issuers_find(&found, &t->section->pins, t->now, t->leaf, t->evidence->sent);
    if (sk_X509_num(found.live) > 0 && verify(t, found.live, &r)) {
        ok = match_issuer(t, r.chain) ? chain_holds(t, r.chain) : refuse_pins(t, "");
    } else if (found.named && !t->expired) {
        ok = refuse_chain(t, &r);
    } else {
        /* would one have done that is past its date? */
        if (sk_X509_num(found.expired) > 0 && verify(t, found.expired, &r))
            (void)match_issuer(t, r.chain);
        ok = refuse_pins(t, issuers_hint(&t->section->pins, &found));
    }
    chain_free(&r);
    issuers_free(&found);
    return ok;
}

/*
 * verify = pin+pki, and no server pin has matched: the chain that the PKI verifies must have a
 * pinned issuer.
 */
static bool issuer_and_pki_hold(struct eval *t)
{
    static const char partial[] =
        "the chain ends at a CA of ca_file that is no root, and the pinned issuer is not in it: if it "
        "is above that CA, add it to ca_file";
    struct issuers found;
    struct chain_result r;
    bool ok;

    issuers_find(&found, &t->section->pins, t->now, t->leaf, t->evidence->sent);
    if (verify(t, NULL, &r))
        ok = match_issuer(t, r.chain) ? chain_holds(t, r.chain)
                                      : refuse_pins(t, chain_is_partial(&r) ? partial : "");
    else
        ok = found.named && !t->expired ? refuse_chain(t, &r) : refuse_pins(t, "");
    chain_free(&r);
    issuers_free(&found);
    return ok;
}

/* enforce = report: the PKI must hold; what the pins say is noted, and no more. */
static bool report_holds(struct eval *t)
{
    struct trust_verdict *v = t->verdict;
    struct chain_result r;
    bool ok;

    if (!verify(t, NULL, &r))
        ok = refuse_chain(t, &r);
    else if (!chain_holds(t, r.chain))
        ok = false;
    else {
        if (!match_server(t) && !match_issuer(t, r.chain)) {
            refuse_pins(t, "");
            v->reported = v->reason;
            v->pin = NULL;
        }
        ok = true;
    }
    chain_free(&r);
    return ok;
}

static bool pins_hold(struct eval *t)
{
    const bool pki = t->section->verify == VERIFY_PIN_PKI;

    if (match_server(t))
        return key_is_strong(t) && (pki ? pki_holds(t) : also_check(t));
    if (!pin_first(&t->section->pins, PIN_ISSUER))
        return refuse_pins(t, "");
    return pki ? issuer_and_pki_hold(t) : issuer_holds(t);
}

/* Trust on first use. */

static bool refuse_changed(struct eval *t, const struct learned_key *kept)
{
    char *detail = tofu_explain_change(t->section, kept, t->key);

    (void)refuse(t, REASON_TOFU_CHANGED, X509_V_ERR_CERT_REJECTED, detail);
    free(detail);
    return false;
}

/* A key that is known, from the configuration or from before; false on first use as well. */
static bool tofu_holds(struct eval *t)
{
    struct learned_key keys[LEARNED_KEYS_MAX];
    const bool matches = match_server(t);
    const struct learned_key *kept;

    if (!matches && t->expired)
        return refuse_pins(t, "");
    kept = matches ? NULL : tofu_kept_key(keys, policy_learned_keys(t->policy, keys));
    /*
     * a changed key is noted when it is proved: one that costs too much, or may never be accepted,
     * is not
     */
    if (kept)
        return key_is_strong(t) && refuse_changed(t, kept);
    if (!matches && t->section->pins.count > 0)
        return refuse_pins(t, "");
    if (!key_is_strong(t)
        || !(t->section->verify == VERIFY_TOFU_PKI ? pki_holds(t) : also_check(t)))
        return false;
    return matches ? true
                   : refuse(t, REASON_FIRST_USE, X509_V_ERR_APPLICATION_VERIFICATION,
                            "the first connection keeps the key that it then sees");
}

/* The order is the precedence of reasons: revoked over all, then the pins, then the PKI. */
static bool is_trusted(struct eval *t)
{
    if (t->policy->probe_only)
        return refuse(t, REASON_PROBE_ONLY, X509_V_ERR_APPLICATION_VERIFICATION, "");
    if (!cert_key_digest(t->leaf, t->key) || !cert_digest(t->leaf, t->cert))
        return refuse(t, REASON_PIN_MISMATCH, X509_V_ERR_UNSPECIFIED,
                      "the server's certificate cannot be read");
    if (!leaf_not_revoked(t))
        return false;
    switch (t->section->verify) {
    case VERIFY_PIN_PKI:
        if (config_is_reporting(t->section, t->now))
            return report_holds(t);
        return pins_hold(t);
    case VERIFY_PIN:
        return pins_hold(t);
    case VERIFY_PKI:
        return pki_holds(t);
    case VERIFY_TOFU:
    case VERIFY_TOFU_PKI:
        return tofu_holds(t);
    }
    return refuse(t, REASON_PKI, X509_V_ERR_UNSPECIFIED, "no policy");
}

void trust_judge(const struct policy *policy, const struct trust_evidence *evidence, int64_t now,
                 struct trust_verdict *verdict)
{
    struct eval t = {.policy = policy,
                     .section = policy->section,
                     .evidence = evidence,
                     .leaf = evidence->leaf,
                     .now = now,
                     .verdict = verdict};

    verdict->trusted = false;
    verdict->pin = NULL;
    verdict->reported = REASON_OK;
    refuse(&t, REASON_PKI, X509_V_ERR_UNSPECIFIED, "no certificate was presented");
    if (!t.leaf)
        return;
    verdict->chain = evidence->sent ? X509_chain_up_ref(evidence->sent) : NULL;
    if (!is_trusted(&t)) {
        verdict->pin = NULL;
        return;
    }
    verdict->trusted = true;
    verdict->reason = REASON_OK;
    verdict->x509_error = X509_V_OK;
    if (verdict->reported != REASON_OK)
        return;
    free(verdict->detail);
    verdict->detail = NULL;
}

/*
 * Whether the policy still has the pin that a server was accepted on. Fills in the second from
 * which it is no longer accepted, or 0 if there is none.
 */
static bool still_pinned(const struct policy *p, const struct pin *pin, int64_t *until)
{
    struct learned_key keys[LEARNED_KEYS_MAX];
    size_t count = policy_learned_keys(p, keys), i;

    for (i = 0; i < p->section->pins.count; i++) {
        if (!pin_equal(&p->section->pins.items[i], pin))
            continue;
        *until = p->section->pins.items[i].until;
        return true;
    }
    for (i = 0; i < count && pin->role == PIN_SERVER && pin->kind == PIN_KEY; i++) {
        if (memcmp(keys[i].digest, pin->digest, CERT_DIGEST_SIZE) != 0)
            continue;
        *until = keys[i].until;
        return true;
    }
    return false;
}

enum reason trust_recheck(const struct policy *policy, const struct trust_verdict *verdict,
                          int64_t since, int64_t now, char detail[TRUST_DETAIL_SIZE])
{
    char key[PIN_KEY_TEXT_SIZE], day[UNITS_DATE_SIZE];
    int64_t until;
    size_t i;

    for (i = 0; i < verdict->key_count; i++) {
        if (!policy_is_revoked(policy->section, verdict->keys[i]))
            continue;
        pin_format_key(verdict->keys[i], key);
        snprintf(detail, TRUST_DETAIL_SIZE, "%s has been revoked", key);
        return REASON_REVOKED;
    }
    if (!verdict->pin || policy->section->on_pin_removed == PIN_REMOVED_KEEP)
        return REASON_OK;
    if (!still_pinned(policy, verdict->pin, &until)) {
        snprintf(detail, TRUST_DETAIL_SIZE, "pin %s was taken away", pin_label(verdict->pin));
        return REASON_PIN_REMOVED;
    }
    if (until <= since || until > now)
        return REASON_OK;
    units_format_date(until, day);
    snprintf(detail, TRUST_DETAIL_SIZE, "pin %s has until=%s", pin_label(verdict->pin), day);
    return REASON_EXPIRED_PINS;
}

void trust_verdict_free(struct trust_verdict *v)
{
    sk_X509_pop_free(v->chain, X509_free);
    sk_X509_pop_free(v->verified, X509_free);
    free(v->keys);
    free(v->detail);
    free(v->learned);
    memset(v, 0, sizeof(*v));
}
