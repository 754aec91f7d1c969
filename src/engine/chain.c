#include "engine/chain.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "base/hostname.h"

/* Chains may be this deep below the anchor; what is longer is not a web server's. */
#define DEPTH_MOST 8

/* Level 2: 112 bits, so RSA of 2048 bits, no SHA-1 (SSL_CTX_set_security_level(3)). */
#define AUTH_LEVEL 2
#define SECURITY_BITS 112
#define RSA_BITS_LEAST 2048

struct chain_request chain_request(const struct policy *p, X509 *leaf, STACK_OF(X509) *sent,
                                   STACK_OF(X509) *anchors, int64_t now)
{
    return (struct chain_request){.leaf = leaf,
                                  .sent = sent,
                                  .store = p->store,
                                  .anchors = anchors,
                                  .check_crls = !anchors && config_uses_pki(p->section)
                                                && p->section->crl_file.count > 0,
                                  .name = p->section->verify_name,
                                  .now = now};
}

static bool set_params(X509_STORE_CTX *ctx, const struct chain_request *r)
{
    X509_VERIFY_PARAM *param;

    /* the purpose: a certificate for a TLS server */
    if (X509_STORE_CTX_set_default(ctx, "ssl_server") != 1)
        return false;
    param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_auth_level(param, AUTH_LEVEL);
    X509_VERIFY_PARAM_set_depth(param, DEPTH_MOST);
    X509_VERIFY_PARAM_set_time(param, (time_t)r->now);
    X509_VERIFY_PARAM_set_hostflags(param, CHAIN_NAME_FLAGS);
    if (r->check_crls)
        X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    if (r->anchors) {
        /*
         * A pinned CA may stand in the middle of a hierarchy. With this flag its own dates are
         * looked at as well, and one that says it has signed itself must have.
         */
        X509_VERIFY_PARAM_set_flags(param,
                                    X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_CHECK_SS_SIGNATURE);
        X509_STORE_CTX_set0_trusted_stack(ctx, r->anchors);
    }
    /* never the host check for an IP literal: there *.0.0.1 would match 127.0.0.1 */
    return (hostname_is_ip(r->name) ? X509_VERIFY_PARAM_set1_ip_asc(param, r->name)
                                    : X509_VERIFY_PARAM_set1_host(param, r->name, 0))
           == 1;
}

bool chain_key_is_strong(const EVP_PKEY *key)
{
    /* the library rounds: RSA of 1963 bits counts as 112 there */
    if (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS"))
        return EVP_PKEY_get_bits(key) >= RSA_BITS_LEAST;
    return EVP_PKEY_get_security_bits(key) >= SECURITY_BITS;
}

/* What X509_verify_cert() lets through: X509_V_OK, or what is wrong at which depth. */
static int check_further(const struct chain_request *r, STACK_OF(X509) *chain, int *depth)
{
    const int last = sk_X509_num(chain) - 1;
    int i;

    for (i = 0; i <= last; i++) {
        const EVP_PKEY *key = X509_get0_pubkey(sk_X509_value(chain, i));

        *depth = i;
        if (!key || !chain_key_is_strong(key))
            return i == 0 ? X509_V_ERR_EE_KEY_TOO_SMALL : X509_V_ERR_CA_KEY_TOO_SMALL;
    }
    /* of an anchor it does not ask for the flag that says it is a CA; 3: a root of X.509's version 1 */
    if (r->anchors && last > 0) {
        const int ca = X509_check_ca(sk_X509_value(chain, last));

        if (ca != 1 && ca != 3)
            return X509_V_ERR_INVALID_CA;
    }
    return X509_V_OK;
}

bool chain_verify(const struct chain_request *r, struct chain_result *result)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();

    *result = (struct chain_result){.error = X509_V_ERR_OUT_OF_MEM};
    if (ctx && X509_STORE_CTX_init(ctx, r->store, r->leaf, r->sent) == 1 && set_params(ctx, r)) {
        bool ok = X509_verify_cert(ctx) == 1;

        result->error = X509_STORE_CTX_get_error(ctx);
        result->depth = X509_STORE_CTX_get_error_depth(ctx);
        if (ok && result->error == X509_V_OK) {
            result->error = check_further(r, X509_STORE_CTX_get0_chain(ctx), &result->depth);
            ok = result->error == X509_V_OK;
        }
        if (ok && result->error == X509_V_OK)
            result->chain = X509_STORE_CTX_get1_chain(ctx);
        else if (result->error == X509_V_OK)
            result->error = X509_V_ERR_UNSPECIFIED;
        if (ok && !result->chain)
            result->error = X509_V_ERR_OUT_OF_MEM;
    }
    X509_STORE_CTX_free(ctx);
    ERR_clear_error();
    return result->chain != NULL;
}

void chain_free(struct chain_result *result)
{
    sk_X509_pop_free(result->chain, X509_free);
    memset(result, 0, sizeof(*result));
}

bool chain_is_weakness(int error)
{
    return error == X509_V_ERR_EE_KEY_TOO_SMALL || error == X509_V_ERR_CA_KEY_TOO_SMALL
           || error == X509_V_ERR_CA_MD_TOO_WEAK;
}

bool chain_name_matches(X509 *leaf, const char *name)
{
    return (hostname_is_ip(name) ? X509_check_ip_asc(leaf, name, 0)
                                 : X509_check_host(leaf, name, 0, CHAIN_NAME_FLAGS, NULL))
           == 1;
}
