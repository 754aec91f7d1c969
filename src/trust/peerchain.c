#include "trust/peerchain.h"

#include <openssl/x509.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "trust/anchors.h"
#include "trust/chain.h"
#include "trust/policy.h"

size_t peerchain_length(const struct trust_verdict *v)
{
    if (v->raw_key)
        return 1;
    return v->chain ? (size_t)sk_X509_num(v->chain) : 0;
}

X509 *peerchain_leaf(const struct trust_verdict *v)
{
    return sk_X509_value(v->chain, 0);
}

bool peerchain_starts_with(const struct trust_verdict *v, const X509 *leaf)
{
    const X509 *own = sk_X509_value(v->chain, 0);

    return own && leaf && X509_cmp(own, leaf) == 0;
}

bool peerchain_is_key(const struct trust_verdict *v, const EVP_PKEY *key)
{
    return v->raw_key && key && EVP_PKEY_eq(v->raw_key, key) == 1;
}

bool peerchain_describe(const struct trust_verdict *v, size_t index, struct cert_info *info)
{
    if (v->raw_key)
        return cert_describe_key(v->raw_key, info);
    return cert_describe(sk_X509_value(v->chain, (int)index), info);
}

char *peerchain_pins(const struct trust_verdict *v)
{
    struct strbuf out = {0};
    struct cert_digests digests;
    char key_pin[PIN_TEXT_SIZE], cert_pin[PIN_TEXT_SIZE];
    size_t i;

    if (v->raw_key && cert_raw_key_digests(v->raw_key, &digests)) {
        pin_format(PIN_SERVER, PIN_KEY, digests.key, key_pin);
        return xstrdup(key_pin);
    }
    for (i = 0; i < peerchain_length(v); i++) {
        const enum pin_role role = i == 0 ? PIN_SERVER : PIN_ISSUER;

        if (!cert_compute_digests(sk_X509_value(v->chain, (int)i), &digests))
            continue;
        pin_format(role, PIN_KEY, digests.key, key_pin);
        pin_format(role, PIN_CERT, digests.cert, cert_pin);
        strbuf_addf(&out, "%s%s %s", out.len ? " " : "", key_pin, cert_pin);
    }
    return strbuf_detach(&out);
}

char *peerchain_pki(const struct policy *policy, const struct trust_verdict *v, int64_t now)
{
    struct chain_request request;
    struct chain_result r;
    char *text;

    if (v->raw_key)
        return xstrdup("a raw public key, without a certificate");
    if (peerchain_length(v) == 0 || !policy->store)
        return xstrdup("nothing to verify");
    request = chain_request(policy, sk_X509_value(v->chain, 0), v->chain, NULL, now);
    request.store = anchors_for(policy->section, policy->store);
    text = chain_verify(&request, &r)
               ? xstrdup("valid")
               : xasprintf("%s at depth %d", X509_verify_cert_error_string(r.error), r.depth);
    chain_free(&r);
    X509_STORE_free(request.store);
    return text;
}
