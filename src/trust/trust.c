#include "trust/trust.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/spiffe.h"
#include "base/units.h"
#include "config/section.h"
#include "trust/asn1time.h"
#include "trust/certname.h"
#include "trust/chain.h"
#include "trust/issuers.h"
#include "trust/ocsp.h"
#include "trust/policy.h"
#include "trust/tofu.h"

/* One evaluation of the evidence. */
struct eval {
    const struct policy *policy;
    const struct config_section *section;
    const struct policy_pins *pins;
    const struct trust_evidence *evidence;
    X509 *leaf;
    int64_t now;
    struct trust_verdict *verdict;
};

/* Sets the details of a verdict, which has none if memory is short. */
static void set_detail(struct trust_verdict *v, const char *detail)
{
    free(v->detail);
    v->detail = *detail ? strdup(detail) : NULL;
}

static bool refuse(struct eval *t, enum reason reason, int x509_error, const char *detail)
{
    t->verdict->reason = reason;
    t->verdict->x509_error = x509_error == X509_V_OK ? X509_V_ERR_UNSPECIFIED : x509_error;
    set_detail(t->verdict, detail);
    return false;
}

/* The deny list. */

/* Stores the key of a CA, which a later reload may revoke. If memory is short it refuses. */
static bool store_ca_key(struct eval *t, const uint8_t key[CERT_DIGEST_SIZE])
{
    struct trust_verdict *v = t->verdict;
    uint8_t(*keys)[CERT_DIGEST_SIZE] = realloc(v->ca_keys, (v->ca_key_count + 1) * sizeof(*keys));

    if (!keys)
        return refuse(t, REASON_MEMORY, X509_V_ERR_OUT_OF_MEM, "");
    v->ca_keys = keys;
    memcpy(v->ca_keys[v->ca_key_count++], key, CERT_DIGEST_SIZE);
    return true;
}

/* Checks every CA of a verified chain. The leaf has been checked before. */
static bool chain_not_revoked(struct eval *t, const STACK_OF(X509) *chain)
{
    char detail[TRUST_DETAIL_SIZE];
    uint8_t key[CERT_DIGEST_SIZE], ordinary[CERT_DIGEST_SIZE];
    struct cert_info info;
    int i;

    for (i = 1; i < sk_X509_num(chain); i++) {
        if (!cert_key_digests(sk_X509_value(chain, i), key, ordinary)) {
            snprintf(detail, sizeof(detail), "the certificate at depth %d cannot be read", i);
            return refuse(t, REASON_REVOKED, X509_V_ERR_CERT_REVOKED, detail);
        }
        if (!store_ca_key(t, key)
            || (memcmp(key, ordinary, sizeof(key)) != 0 && !store_ca_key(t, ordinary)))
            return false;
        if (!policy_is_revoked(t->section, key) && !policy_is_revoked(t->section, ordinary))
            continue;
        (void)cert_describe(sk_X509_value(chain, i), &info);
        snprintf(detail, sizeof(detail), "the key of %s, at depth %d, is revoked", info.subject, i);
        cert_info_free(&info);
        return refuse(t, REASON_REVOKED, X509_V_ERR_CERT_REVOKED, detail);
    }
    return true;
}

/* Pins. */

/*
 * Accepts the server on this pin. A learned one is valid only during the evaluation, so the verdict
 * gets a copy with its text.
 */
static bool accept_pin(struct eval *t, const struct pin *pin)
{
    struct pin *copy;
    char *text;

    t->verdict->pin = pin;
    if (pin->origin == PIN_CONFIGURED)
        return true;
    copy = malloc(sizeof(*copy) + PIN_KEY_TEXT_SIZE);
    if (!copy)
        return refuse(t, REASON_MEMORY, X509_V_ERR_OUT_OF_MEM, "");
    *copy = *pin;
    text = (char *)(copy + 1);
    copy->text = memcpy(text, pin->text, PIN_KEY_TEXT_SIZE);
    free(t->verdict->learned);
    t->verdict->pin = t->verdict->learned = copy;
    return true;
}

/* Matches the server's own certificate with the pins of the configuration and the learned ones. */
static struct pin_match match_server(const struct eval *t)
{
    struct pin_match match = {0};

    policy_pins_match(t->pins, &t->verdict->server, t->now, &match);
    return match;
}

/*
 * Returns why no pin is accepted, and fills in detail: none matches, or the one that does has
 * expired. hint: the detail if there is no better one.
 */
static enum reason mismatch_reason(const struct eval *t, const struct pin_match *match,
                                   const char *hint, char detail[TRUST_DETAIL_SIZE])
{
    char day[UNITS_DATE_SIZE];

    if (match->expired) {
        units_format_date(match->expired->until, day);
        snprintf(detail, TRUST_DETAIL_SIZE, "pin %s has until=%s", pin_label(match->expired), day);
        return REASON_EXPIRED_PINS;
    }
    issuers_describe_misplaced(&t->section->pins, t->evidence->sent, detail, TRUST_DETAIL_SIZE);
    if (!*detail)
        snprintf(detail, TRUST_DETAIL_SIZE, "%s", hint);
    return REASON_PIN_MISMATCH;
}

static bool refuse_pins(struct eval *t, const struct pin_match *match, const char *hint)
{
    char detail[TRUST_DETAIL_SIZE];
    const enum reason reason = mismatch_reason(t, match, hint, detail);

    return refuse(t, reason,
                  reason == REASON_EXPIRED_PINS ? X509_V_ERR_CERT_HAS_EXPIRED
                                                : X509_V_ERR_CERT_REJECTED,
                  detail);
}

/*
 * Checks that the section accepts the form in which the server presents its key. A policy that
 * replaces another during the handshake may not accept what that one has asked for.
 */
static bool form_is_accepted(struct eval *t)
{
    const enum config_raw_key wanted = t->section->tls.raw_key;

    if (t->leaf && wanted == RAW_KEY_REQUIRE)
        return refuse(t, REASON_RAW_KEY, X509_V_ERR_CERT_REJECTED,
                      "the server presented a certificate, and raw_key = require");
    if (!t->leaf && wanted == RAW_KEY_NO)
        return refuse(t, REASON_RAW_KEY, X509_V_ERR_CERT_REJECTED,
                      "the server presented a raw public key, and raw_key = no");
    if (!t->leaf && config_uses_pki(t->section))
        return refuse(t, REASON_RAW_KEY, X509_V_ERR_CERT_REJECTED,
                      "the server presented a raw public key, which the PKI cannot verify");
    return true;
}

/* Checks that the server's own key is strong, and that its signatures are not too slow. */
static bool key_is_strong(struct eval *t)
{
    EVP_PKEY *key = t->leaf ? X509_get0_pubkey(t->leaf) : t->evidence->raw_key;
    const bool strong = key && chain_key_is_strong(key);
    char detail[TRUST_DETAIL_SIZE];

    if (!form_is_accepted(t))
        return false;
    if (strong && chain_key_is_bounded(key))
        return true;
    snprintf(detail, sizeof(detail), "the server's key has %d bits%s",
             key ? EVP_PKEY_get_bits(key) : 0,
             strong ? ": RSA keys may have at most 8192, and an exponent of at most 64" : "");
    return refuse(t, REASON_WEAK, X509_V_ERR_EE_KEY_TOO_SMALL, detail);
}

/* also_check: the checks of the PKI that are wanted although a pin alone is enough. */
static bool also_check(struct eval *t)
{
    const char *name = t->section->verify_name;
    char detail[TRUST_DETAIL_SIZE];

    if (!t->leaf && t->section->also_check)
        return refuse(t, REASON_NAME, X509_V_ERR_HOSTNAME_MISMATCH,
                      "a raw public key has neither a name nor dates");
    if ((t->section->also_check & ALSO_CHECK_NAME) && !certname_matches(t->leaf, name)) {
        certname_explain(t->leaf, name, detail, sizeof(detail));
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

    if (r->error == X509_V_ERR_HOSTNAME_MISMATCH && spiffe_is_meant(t->section->verify_name))
        certname_explain(t->leaf, t->section->verify_name, detail, sizeof(detail));
    else
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
    /* a certificate that is an anchor itself is its own issuer */
    why = ocsp_check(e->staple, e->staple_len, t->leaf,
                     sk_X509_value(chain, sk_X509_num(chain) > 1 ? 1 : 0), t->now);
    return why ? refuse(t, REASON_PKI, X509_V_ERR_OCSP_VERIFY_FAILED, why) : true;
}

/* Checks what must be true of a chain that has been verified. */
static bool chain_holds(struct eval *t, STACK_OF(X509) *chain)
{
    sk_X509_pop_free(t->verdict->verified, X509_free);
    t->verdict->verified = X509_chain_up_ref(chain);
    return chain_not_revoked(t, chain) && key_is_strong(t) && staple_holds(t, chain);
}

/* All of PKI verification, and the deny list for the chain that it built. */
static bool pki_holds(struct eval *t)
{
    struct chain_result r;
    bool ok = verify(t, NULL, &r) ? chain_holds(t, r.chain) : refuse_chain(t, &r);

    chain_free(&r);
    return ok;
}

/* Makes the checks that come after the pins: all of the PKI, or those of also_check. */
static bool rest_holds(struct eval *t)
{
    return config_uses_pki(t->section) ? pki_holds(t) : also_check(t);
}

/*
 * verify = pin, and no server pin is live (match): the chain must lead to a pinned CA, which is
 * enough.
 */
static bool issuer_holds(struct eval *t, struct pin_match *match)
{
    struct issuers found;
    struct chain_result r = {0};
    bool ok;

    issuers_find(&found, &t->section->pins, t->now, t->leaf, t->evidence->sent);
    if (sk_X509_num(found.live) > 0 && verify(t, found.live, &r)) {
        issuers_match(&t->section->pins, r.chain, t->now, match);
        ok = match->live ? accept_pin(t, match->live) && chain_holds(t, r.chain)
                         : refuse_pins(t, match, "");
    } else if (found.named && !match->expired) {
        ok = refuse_chain(t, &r);
    } else {
        /* a chain to a CA whose pin has expired is refused for that reason */
        if (sk_X509_num(found.expired) > 0 && verify(t, found.expired, &r))
            issuers_match(&t->section->pins, r.chain, t->now, match);
        ok = refuse_pins(t, match, issuers_hint(&t->section->pins, &found));
    }
    chain_free(&r);
    issuers_free(&found);
    return ok;
}

/*
 * verify = pin+pki, and no server pin is live (match): the chain that the PKI verifies must have a
 * pinned CA.
 */
static bool issuer_and_pki_hold(struct eval *t, struct pin_match *match)
{
    static const char partial[] =
        "the chain ends at a CA of ca_file that is not a root, and the pinned CA is not in it: if it "
        "is above that CA, add it to ca_file";
    struct issuers found;
    struct chain_result r;
    bool ok;

    issuers_find(&found, &t->section->pins, t->now, t->leaf, t->evidence->sent);
    if (verify(t, NULL, &r)) {
        issuers_match(&t->section->pins, r.chain, t->now, match);
        ok = match->live ? accept_pin(t, match->live) && chain_holds(t, r.chain)
                         : refuse_pins(t, match, chain_is_partial(&r) ? partial : "");
    } else {
        ok = found.named && !match->expired ? refuse_chain(t, &r) : refuse_pins(t, match, "");
    }
    chain_free(&r);
    issuers_free(&found);
    return ok;
}

/* enforce = report: the PKI must hold. A mismatch is reported, and has no other effect. */
static bool report_holds(struct eval *t)
{
    struct pin_match match = match_server(t);
    char detail[TRUST_DETAIL_SIZE];
    struct chain_result r;
    const bool ok = verify(t, NULL, &r) ? chain_holds(t, r.chain) : refuse_chain(t, &r);

    if (ok)
        issuers_match(&t->section->pins, r.chain, t->now, &match);
    chain_free(&r);
    if (!ok)
        return false;
    if (match.live)
        return accept_pin(t, match.live);
    t->verdict->reported = mismatch_reason(t, &match, "", detail);
    set_detail(t->verdict, detail);
    return true;
}

static bool pins_hold(struct eval *t)
{
    struct pin_match match = match_server(t);

    if (match.live)
        return accept_pin(t, match.live) && key_is_strong(t) && rest_holds(t);
    if (!t->leaf)
        return refuse_pins(t, &match,
                           "the server presented a raw public key, which pins of keys alone match");
    if (!pin_first(&t->section->pins, PIN_ISSUER))
        return refuse_pins(t, &match, "");
    return t->section->verify == VERIFY_PIN_PKI ? issuer_and_pki_hold(t, &match)
                                                : issuer_holds(t, &match);
}

/* Trust on first use. */

static bool refuse_changed(struct eval *t)
{
    char *detail = tofu_explain_change(t->section, t->pins, t->verdict->server.key);

    (void)refuse(t, REASON_TOFU_CHANGED, X509_V_ERR_CERT_REJECTED, detail);
    free(detail);
    return false;
}

/*
 * The key of a first use or of a change is stored, as the accepted or as a refused one, after the
 * handshake has proved it. So it must be strong: a weak one may never be accepted, and the
 * signatures of a slow one must not be verified.
 */
static bool tofu_holds(struct eval *t)
{
    const struct pin_match match = match_server(t);

    switch (tofu_decide(t->pins, &match)) {
    case TOFU_KNOWN:
        return accept_pin(t, match.live) && key_is_strong(t) && rest_holds(t);
    case TOFU_CHANGED:
        return key_is_strong(t) && refuse_changed(t);
    case TOFU_FIRST_USE:
        return key_is_strong(t) && rest_holds(t)
               && refuse(
                   t, REASON_FIRST_USE, X509_V_ERR_APPLICATION_VERIFICATION,
                   "the section has no key yet: its first connection stores the key that it sees");
    case TOFU_MISMATCH:
        break;
    }
    return refuse_pins(t, &match, "");
}

/*
 * The order of the checks is the precedence of reasons: first whether the key is revoked; then the
 * pins; then whether the key is strong; then the PKI, or the name and the dates (rest_holds).
 */
static bool is_trusted(struct eval *t)
{
    if (t->policy->probe_only)
        return refuse(t, REASON_PROBE_ONLY, X509_V_ERR_APPLICATION_VERIFICATION, "");
    if (!(t->leaf ? cert_compute_digests(t->leaf, &t->verdict->server)
                  : cert_raw_key_digests(t->evidence->raw_key, &t->verdict->server)))
        return refuse(t, REASON_PIN_MISMATCH, X509_V_ERR_UNSPECIFIED,
                      "what the server presented cannot be read");
    if (policy_is_revoked(t->section, t->verdict->server.key)
        || policy_is_revoked(t->section, t->verdict->server.ordinary_key))
        return refuse(t, REASON_REVOKED, X509_V_ERR_CERT_REVOKED, "the server's key is revoked");
    /* a certificate in place of a raw key is refused after the pins: a mismatch says more */
    if (!t->leaf && !form_is_accepted(t))
        return false;
    switch (t->section->verify) {
    case VERIFY_PIN_PKI:
        return config_is_reporting(t->section, t->now) ? report_holds(t) : pins_hold(t);
    case VERIFY_PIN:
        return pins_hold(t);
    case VERIFY_TOFU:
    case VERIFY_TOFU_PKI:
        return tofu_holds(t);
    case VERIFY_PKI:
        return pki_holds(t);
    }
    return refuse(t, REASON_PKI, X509_V_ERR_UNSPECIFIED, "no policy");
}

void trust_judge(const struct policy *policy, const struct trust_evidence *evidence, int64_t now,
                 struct trust_verdict *verdict)
{
    struct policy_pins pins;
    struct eval t = {.policy = policy,
                     .section = policy->section,
                     .pins = &pins,
                     .evidence = evidence,
                     .leaf = evidence->leaf,
                     .now = now,
                     .verdict = verdict};

    verdict->trusted = false;
    verdict->pin = NULL;
    verdict->reported = REASON_OK;
    refuse(&t, REASON_PKI, X509_V_ERR_UNSPECIFIED, "no certificate was presented");
    if (!t.leaf == !evidence->raw_key) /* nothing, or both, which no handshake has */
        return;
    verdict->chain = evidence->sent ? X509_chain_up_ref(evidence->sent) : NULL;
    if (evidence->raw_key && EVP_PKEY_up_ref(evidence->raw_key) == 1)
        verdict->raw_key = evidence->raw_key;
    policy_pins(policy, &pins);
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

void trust_verdict_free(struct trust_verdict *v)
{
    sk_X509_pop_free(v->chain, X509_free);
    sk_X509_pop_free(v->verified, X509_free);
    EVP_PKEY_free(v->raw_key);
    free(v->ca_keys);
    free(v->detail);
    free(v->learned);
    memset(v, 0, sizeof(*v));
}
