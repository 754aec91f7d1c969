#include "engine/trust.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include "base/hostname.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/units.h"

/* Chains may be this deep below the anchor; what is longer is not a web server's. */
#define DEPTH_MOST 8

/* Level 2: 112 bits, so RSA of 2048 bits, no SHA-1 (SSL_CTX_set_security_level(3)). */
#define AUTH_LEVEL 2
#define SECURITY_BITS 112

#define NAME_FLAGS (X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS)

struct store {
    char *key; /* the files and directories it was loaded from */
    X509_STORE *store;
    SLIST_ENTRY(store) next;
};

struct trust_stores {
    SLIST_HEAD(, store) list;
};

struct trust_policy {
    const struct config_section *section;
    X509_STORE *store; /* a reference; NULL when only observing */
    bool observe;
};

struct trust_stores *trust_stores_new(void)
{
    struct trust_stores *s = xcalloc(1, sizeof(*s));

    SLIST_INIT(&s->list);
    return s;
}

void trust_stores_free(struct trust_stores *s)
{
    struct store *e;

    if (!s)
        return;
    while ((e = SLIST_FIRST(&s->list))) {
        SLIST_REMOVE_HEAD(&s->list, next);
        X509_STORE_free(e->store);
        free(e->key);
        free(e);
    }
    free(s);
}

/* What OpenSSL's error queue says, or the error number's own text. Empties the queue. */
static const char *openssl_reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_error());

    ERR_clear_error();
    return text ? text : "not a PEM file of certificates";
}

/* The section's own anchors, or the system's when it names none. */
static bool load_anchors(X509_STORE *store, const struct config_section *s,
                         struct problems *problems)
{
    const size_t before = problems->count;
    size_t i;

    if (s->ca_file.count == 0 && s->ca_dir.count == 0 && X509_STORE_set_default_paths(store) != 1)
        problems_add(problems, s->where, "[%s]: the system's trust anchors: %s", s->name,
                     openssl_reason());
    for (i = 0; i < s->ca_file.count; i++)
        if (X509_STORE_load_file(store, s->ca_file.items[i].text) != 1)
            problems_add(problems, s->ca_file.items[i].where, "ca_file = %s: %s",
                         s->ca_file.items[i].text, openssl_reason());
    for (i = 0; i < s->ca_dir.count; i++) {
        /* OpenSSL looks into the directory only when it needs a certificate */
        if (access(s->ca_dir.items[i].text, R_OK | X_OK) != 0)
            problems_add(problems, s->ca_dir.items[i].where, "ca_dir = %s: %s",
                         s->ca_dir.items[i].text, strerror(errno));
        else
            X509_STORE_load_path(store, s->ca_dir.items[i].text);
    }
    return problems->count == before;
}

static char *store_key(const struct config_section *s)
{
    struct strbuf key = {0};
    size_t i;

    for (i = 0; i < s->ca_file.count; i++)
        strbuf_addf(&key, "file %s\n", s->ca_file.items[i].text);
    for (i = 0; i < s->ca_dir.count; i++)
        strbuf_addf(&key, "dir %s\n", s->ca_dir.items[i].text);
    return strbuf_detach(&key);
}

/* The store with the section's anchors, loaded now if no section before it had the same. */
static X509_STORE *find_store(struct trust_stores *stores, const struct config_section *section,
                              struct problems *problems)
{
    char *key = store_key(section);
    struct store *e;

    SLIST_FOREACH (e, &stores->list, next) {
        if (strcmp(e->key, key) == 0) {
            free(key);
            return e->store;
        }
    }
    e = xcalloc(1, sizeof(*e));
    e->key = key;
    e->store = X509_STORE_new();
    if (!e->store)
        problems_add(problems, section->where, "[%s]: out of memory", section->name);
    if (!e->store || !load_anchors(e->store, section, problems)) {
        X509_STORE_free(e->store);
        free(e->key);
        free(e);
        return NULL;
    }
    SLIST_INSERT_HEAD(&stores->list, e, next);
    return e->store;
}

struct trust_policy *trust_policy_new(const struct config_section *section,
                                      struct trust_stores *stores, struct problems *problems)
{
    struct trust_policy *p;
    X509_STORE *store = find_store(stores, section, problems);

    if (!store)
        return NULL;
    p = xcalloc(1, sizeof(*p));
    p->section = section;
    X509_STORE_up_ref(store);
    p->store = store;
    return p;
}

struct trust_policy *trust_policy_observe(const struct config_section *section)
{
    struct trust_policy *p = xcalloc(1, sizeof(*p));

    p->section = section;
    p->observe = true;
    return p;
}

void trust_policy_free(struct trust_policy *p)
{
    if (!p)
        return;
    X509_STORE_free(p->store);
    free(p);
}

/* One judgement under way. */
struct trial {
    const struct trust_policy *policy;
    const struct config_section *section;
    X509 *leaf;
    STACK_OF(X509) *sent;
    int64_t now;
    struct trust_verdict *verdict;
};

static bool refuse(struct trial *t, enum reason reason, int x509_error, const char *detail)
{
    t->verdict->reason = reason;
    t->verdict->x509_error = x509_error;
    snprintf(t->verdict->detail, sizeof(t->verdict->detail), "%s", detail);
    return false;
}

/* Finds out whether a key is on the section's deny list. On doubt it is. */
static bool is_revoked(const struct config_section *section, const X509 *cert)
{
    uint8_t key[CERT_DIGEST_SIZE];
    size_t i;

    if (section->revoked.count == 0)
        return false;
    if (!cert_key_digest(cert, key))
        return true;
    for (i = 0; i < section->revoked.count; i++)
        if (memcmp(section->revoked.items[i].digest, key, sizeof(key)) == 0)
            return true;
    return false;
}

static bool not_revoked(struct trial *t, const STACK_OF(X509) *chain)
{
    char detail[TRUST_DETAIL_SIZE];
    int i;

    for (i = 0; i < sk_X509_num(chain); i++) {
        struct cert_info info;

        if (!is_revoked(t->section, sk_X509_value(chain, i)))
            continue;
        if (cert_describe(sk_X509_value(chain, i), &info))
            snprintf(detail, sizeof(detail), "the key of %s, at depth %d, is revoked", info.subject,
                     i);
        else
            snprintf(detail, sizeof(detail), "the certificate at depth %d cannot be read", i);
        cert_info_free(&info);
        return refuse(t, REASON_REVOKED, X509_V_ERR_CERT_REVOKED, detail);
    }
    return true;
}

/* A live pin matches the server's own certificate. */
static bool pin_matches(struct trial *t)
{
    const struct pin *over = NULL;
    uint8_t key[CERT_DIGEST_SIZE], cert[CERT_DIGEST_SIZE];
    char detail[TRUST_DETAIL_SIZE], day[UNITS_DATE_SIZE];
    size_t i;

    if (!cert_key_digest(t->leaf, key) || !cert_digest(t->leaf, cert))
        return refuse(t, REASON_PIN_MISMATCH, X509_V_ERR_UNSPECIFIED,
                      "the server's certificate cannot be read");
    for (i = 0; i < t->section->pins.count; i++) {
        const struct pin *pin = &t->section->pins.items[i];

        if (memcmp(pin->digest, pin->kind == PIN_KEY ? key : cert, CERT_DIGEST_SIZE) != 0)
            continue;
        if (!pin_is_over(pin, t->now)) {
            t->verdict->pin = pin;
            return true;
        }
        over = pin;
    }
    if (!over)
        return refuse(t, REASON_PIN_MISMATCH, X509_V_ERR_CERT_REJECTED, "");
    units_format_date(over->until, day);
    snprintf(detail, sizeof(detail), "pin %s has until=%s", pin_label(over), day);
    return refuse(t, REASON_EXPIRED_PINS, X509_V_ERR_CERT_HAS_EXPIRED, detail);
}

static bool key_is_strong(struct trial *t)
{
    EVP_PKEY *key = X509_get0_pubkey(t->leaf);
    char detail[TRUST_DETAIL_SIZE];

    if (key && EVP_PKEY_get_security_bits(key) >= SECURITY_BITS)
        return true;
    snprintf(detail, sizeof(detail), "the server's key has %d bits",
             key ? EVP_PKEY_get_bits(key) : 0);
    return refuse(t, REASON_WEAK, X509_V_ERR_EE_KEY_TOO_SMALL, detail);
}

/* also_check: what the PKI would have looked at, where a pin alone would do. */
static bool also_check(struct trial *t)
{
    const char *name = t->section->verify_name;
    time_t now = (time_t)t->now;
    char detail[TRUST_DETAIL_SIZE];
    int ok;

    if (t->section->also_check & ALSO_CHECK_NAME) {
        ok = hostname_is_ip(name) ? X509_check_ip_asc(t->leaf, name, 0)
                                  : X509_check_host(t->leaf, name, 0, NAME_FLAGS, NULL);
        if (ok != 1) {
            snprintf(detail, sizeof(detail), "the certificate is not for %s", name);
            return refuse(t, REASON_NAME, X509_V_ERR_HOSTNAME_MISMATCH, detail);
        }
    }
    if (t->section->also_check & ALSO_CHECK_DATES) {
        if (X509_cmp_time(X509_get0_notBefore(t->leaf), &now) >= 0)
            return refuse(t, REASON_DATES, X509_V_ERR_CERT_NOT_YET_VALID,
                          "the certificate is not valid yet");
        if (X509_cmp_time(X509_get0_notAfter(t->leaf), &now) <= 0)
            return refuse(t, REASON_DATES, X509_V_ERR_CERT_HAS_EXPIRED,
                          "the certificate has expired");
    }
    return true;
}

/* A store context ready to verify the presented chain for the section's name; NULL: no memory. */
static X509_STORE_CTX *path_builder(const struct trust_policy *policy, X509 *leaf,
                                    STACK_OF(X509) *sent, int64_t now)
{
    const char *name = policy->section->verify_name;
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    X509_VERIFY_PARAM *param;
    int ok;

    if (!ctx || X509_STORE_CTX_init(ctx, policy->store, leaf, sent) != 1)
        goto fail;
    /* the purpose: a certificate for a TLS server */
    if (X509_STORE_CTX_set_default(ctx, "ssl_server") != 1)
        goto fail;
    param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_auth_level(param, AUTH_LEVEL);
    X509_VERIFY_PARAM_set_depth(param, DEPTH_MOST);
    X509_VERIFY_PARAM_set_time(param, (time_t)now);
    X509_VERIFY_PARAM_set_hostflags(param, NAME_FLAGS);
    /* never the host check for an IP literal: there *.0.0.1 would match 127.0.0.1 */
    if (hostname_is_ip(name))
        ok = X509_VERIFY_PARAM_set1_ip_asc(param, name);
    else
        ok = X509_VERIFY_PARAM_set1_host(param, name, 0);
    if (ok == 1)
        return ctx;
fail:
    X509_STORE_CTX_free(ctx);
    return NULL;
}

static bool is_weakness(int x509_error)
{
    return x509_error == X509_V_ERR_EE_KEY_TOO_SMALL || x509_error == X509_V_ERR_CA_KEY_TOO_SMALL
           || x509_error == X509_V_ERR_CA_MD_TOO_WEAK;
}

/* The whole of PKI verification, and the deny list over the chain that it built. */
static bool pki_holds(struct trial *t)
{
    X509_STORE_CTX *ctx = path_builder(t->policy, t->leaf, t->sent, t->now);
    char detail[TRUST_DETAIL_SIZE];
    int error;
    bool ok;

    if (!ctx)
        return refuse(t, REASON_PKI, X509_V_ERR_OUT_OF_MEM, "out of memory");
    if (X509_verify_cert(ctx) == 1) {
        ok = not_revoked(t, X509_STORE_CTX_get0_chain(ctx));
    } else {
        error = X509_STORE_CTX_get_error(ctx);
        if (error == X509_V_OK)
            error = X509_V_ERR_UNSPECIFIED;
        snprintf(detail, sizeof(detail), "%s at depth %d", X509_verify_cert_error_string(error),
                 X509_STORE_CTX_get_error_depth(ctx));
        ok = refuse(t, is_weakness(error) ? REASON_WEAK : REASON_PKI, error, detail);
    }
    X509_STORE_CTX_free(ctx);
    ERR_clear_error();
    return ok;
}

static bool leaf_not_revoked(struct trial *t)
{
    if (!is_revoked(t->section, t->leaf))
        return true;
    return refuse(t, REASON_REVOKED, X509_V_ERR_CERT_REVOKED, "the server's key is revoked");
}

/* The order is the precedence of reasons: revoked over all, then the pins, then the PKI. */
static bool is_trusted(struct trial *t)
{
    if (t->policy->observe)
        return refuse(t, REASON_OBSERVED, X509_V_ERR_APPLICATION_VERIFICATION, "");
    if (!leaf_not_revoked(t))
        return false;
    switch ((enum config_verify)t->section->verify) {
    case VERIFY_PIN:
        return pin_matches(t) && key_is_strong(t) && also_check(t);
    case VERIFY_PIN_PKI:
        return pin_matches(t) && key_is_strong(t) && pki_holds(t);
    case VERIFY_PKI:
        return pki_holds(t);
    }
    return refuse(t, REASON_PKI, X509_V_ERR_UNSPECIFIED, "no policy");
}

void trust_judge(const struct trust_policy *policy, X509 *leaf, STACK_OF(X509) *sent, int64_t now,
                 struct trust_verdict *verdict)
{
    struct trial t = {.policy = policy,
                      .section = policy->section,
                      .leaf = leaf,
                      .sent = sent,
                      .now = now,
                      .verdict = verdict};

    verdict->trusted = false;
    verdict->pin = NULL;
    refuse(&t, REASON_PKI, X509_V_ERR_UNSPECIFIED, "no certificate was presented");
    if (!leaf)
        return;
    verdict->chain = sent ? X509_chain_up_ref(sent) : NULL;
    if (!is_trusted(&t)) {
        verdict->pin = NULL;
        return;
    }
    verdict->trusted = true;
    verdict->reason = REASON_OK;
    verdict->x509_error = X509_V_OK;
    verdict->detail[0] = '\0';
}

void trust_verdict_free(struct trust_verdict *v)
{
    sk_X509_pop_free(v->chain, X509_free);
    memset(v, 0, sizeof(*v));
}

size_t trust_chain_length(const struct trust_verdict *v)
{
    return v->chain ? (size_t)sk_X509_num(v->chain) : 0;
}

bool trust_chain_starts_with(const struct trust_verdict *v, const X509 *leaf)
{
    return X509_cmp(sk_X509_value(v->chain, 0), leaf) == 0;
}

bool trust_chain_describe(const struct trust_verdict *v, size_t index, struct cert_info *info)
{
    return cert_describe(sk_X509_value(v->chain, (int)index), info);
}

char *trust_chain_pins(const struct trust_verdict *v)
{
    struct strbuf out = {0};
    uint8_t digest[CERT_DIGEST_SIZE];
    char key[PIN_KEY_TEXT_SIZE], cert[PIN_CERT_TEXT_SIZE];
    size_t i;

    for (i = 0; i < trust_chain_length(v); i++) {
        if (!cert_key_digest(sk_X509_value(v->chain, (int)i), digest))
            continue;
        pin_format_key(digest, key);
        strbuf_addf(&out, "%s%s%s", i ? " " : "", i ? "issuer:" : "", key);
        if (i == 0 && cert_digest(sk_X509_value(v->chain, 0), digest)) {
            pin_format_cert(digest, cert);
            strbuf_addf(&out, " %s", cert);
        }
    }
    return strbuf_detach(&out);
}

char *trust_chain_pki(const struct trust_policy *policy, const struct trust_verdict *v, int64_t now)
{
    X509_STORE_CTX *ctx;
    char *text;

    if (trust_chain_length(v) == 0 || !policy->store)
        return xstrdup("nothing to verify");
    ctx = path_builder(policy, sk_X509_value(v->chain, 0), v->chain, now);
    if (!ctx)
        return xstrdup("out of memory");
    if (X509_verify_cert(ctx) == 1)
        text = xstrdup("valid");
    else
        text = xasprintf("%s at depth %d",
                         X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)),
                         X509_STORE_CTX_get_error_depth(ctx));
    X509_STORE_CTX_free(ctx);
    ERR_clear_error();
    return text;
}
