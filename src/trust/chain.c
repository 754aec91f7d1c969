#include "trust/chain.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/hostname.h"
#include "base/spiffe.h"
#include "config/section.h"
#include "trust/anchors.h"
#include "trust/certname.h"
#include "trust/policy.h"

/* The number of CAs that may be between a server's certificate and the anchor. */
#define DEPTH_MAX 8

/* Level 2: 112 bits, so RSA of 2048 bits, no SHA-1 (SSL_CTX_set_security_level(3)). */
#define AUTH_LEVEL 2
#define SECURITY_BITS 112
#define RSA_BITS_MIN 2048

/*
 * The largest RSA key of a server. One of 16,384 bits with an exponent of 64 costs 3 ms for each
 * signature.
 */
#define RSA_BITS_MAX 8192
#define RSA_EXPONENT_BITS_MAX 64

struct chain_request chain_request(const struct policy *p, X509 *leaf, STACK_OF(X509) *sent,
                                   STACK_OF(X509) *anchors, int64_t now)
{
    const struct config_section *s = p->section;
    const bool check_crls = !anchors && config_uses_pki(s) && s->crl_file.count > 0;

    return (struct chain_request){.leaf = leaf,
                                  .sent = sent,
                                  .store = p->store,
                                  .anchors = anchors,
                                  .allow_partial = !anchors && !check_crls && anchors_are_named(s),
                                  .check_crls = check_crls,
                                  .name = s->verify_name,
                                  .now = now};
}

static bool set_params(X509_STORE_CTX *ctx, const struct chain_request *r, bool partial,
                       bool name_matches)
{
    X509_VERIFY_PARAM *param;

    /* the purpose: a certificate for a TLS server */
    if (X509_STORE_CTX_set_default(ctx, "ssl_server") != 1)
        return false;
    param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_auth_level(param, AUTH_LEVEL);
    X509_VERIFY_PARAM_set_depth(param, DEPTH_MAX);
    X509_VERIFY_PARAM_set_time(param, (time_t)r->now);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT
                                               | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    /* not X509_V_FLAG_X509_STRICT: it stops no forgery, and refuses ordinary private CAs */
    if (r->check_crls)
        X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    /*
     * An anchor may be in the middle of a hierarchy. With these flags its own dates are checked as
     * well, and one that says it has signed itself must have.
     */
    if (partial)
        X509_VERIFY_PARAM_set_flags(param,
                                    X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_CHECK_SS_SIGNATURE);
    if (r->anchors)
        X509_STORE_CTX_set0_trusted_stack(ctx, r->anchors);
    /*
     * set also for a name that does not match, so that the library reports its first error; it
     * knows no URI
     */
    if (name_matches || spiffe_is_meant(r->name))
        return true;
    return (hostname_is_ip(r->name) ? X509_VERIFY_PARAM_set1_ip_asc(param, r->name)
                                    : X509_VERIFY_PARAM_set1_host(param, r->name, 0))
           == 1;
}

bool chain_key_is_strong(const EVP_PKEY *key)
{
    /* the library rounds: RSA of 1963 bits has 112 bits of strength there */
    if (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS"))
        return EVP_PKEY_get_bits(key) >= RSA_BITS_MIN;
    return EVP_PKEY_get_security_bits(key) >= SECURITY_BITS;
}

/* Makes a certificate with one name, for NAME_CONSTRAINTS_check(). NULL: no memory. */
static X509 *carrier_of(int type, const void *bytes, size_t len)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = ASN1_STRING_type_new(type == GEN_IPADD ? V_ASN1_OCTET_STRING
                                                                : V_ASN1_IA5STRING);
    X509 *x = X509_new();
    bool ok = names && name && value && x && ASN1_STRING_set(value, bytes, (int)len) == 1;

    if (ok) {
        GENERAL_NAME_set0_value(name, type, value);
        value = NULL;
        ok = sk_GENERAL_NAME_push(names, name) > 0;
        name = ok ? NULL : name;
        /* an extension needs version 3; X509_get_extension_flags() makes OpenSSL read the names */
        ok = ok && X509_set_version(x, X509_VERSION_3) == 1
             && X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1
             && (X509_get_extension_flags(x), true);
    }
    GENERAL_NAMES_free(names);
    GENERAL_NAME_free(name);
    ASN1_STRING_free(value);
    if (ok)
        return x;
    X509_free(x);
    return NULL;
}

static int check_carrier(X509 *carrier, NAME_CONSTRAINTS *constraints)
{
    const int error = carrier ? NAME_CONSTRAINTS_check(carrier, constraints)
                              : X509_V_ERR_OUT_OF_MEM;

    X509_free(carrier);
    return error;
}

/*
 * Returns whether a DNS name in constraints can match: a host name, a suffix of one that begins
 * with a dot, or the empty one, which matches all.
 */
static bool is_dns_constraint(const ASN1_STRING *base)
{
    const char *text = (const char *)ASN1_STRING_get0_data(base);
    size_t n = (size_t)ASN1_STRING_length(base);
    char name[HOSTNAME_MAX + 2];

    if (n > 0 && text[0] == '.') {
        text++;
        n--;
    }
    if (n >= sizeof(name) || memchr(text, '\0', n))
        return false;
    memcpy(name, text, n);
    name[n] = '\0';
    return n == 0 || hostname_check(name) == NULL;
}

/*
 * Returns whether all of a CA's excluded URIs have an effect, which are the hosts of URIs, or their
 * suffixes. Nothing but the name of a SPIFFE ID is a URI here.
 */
static bool are_uris_effective(const NAME_CONSTRAINTS *constraints)
{
    int i;

    for (i = 0; i < sk_GENERAL_SUBTREE_num(constraints->excludedSubtrees); i++) {
        const GENERAL_NAME *base = sk_GENERAL_SUBTREE_value(constraints->excludedSubtrees, i)->base;

        if (base->type == GEN_URI
            && (ASN1_STRING_length(base->d.uniformResourceIdentifier) == 0
                || !is_dns_constraint(base->d.uniformResourceIdentifier)))
            return false;
    }
    return true;
}

/*
 * Returns whether all of a CA's constraints have an effect. The library ignores an excluded
 * *.example.com or an address without a mask, which matches nothing, and ignores an empty list of
 * permitted names.
 */
static bool are_effective(const NAME_CONSTRAINTS *constraints)
{
    const int permitted = sk_GENERAL_SUBTREE_num(constraints->permittedSubtrees);
    const int excluded = sk_GENERAL_SUBTREE_num(constraints->excludedSubtrees);
    int i;

    /* -1: no such list. RFC 5280 requires one of them, and neither may be empty */
    if (permitted == 0 || excluded == 0 || permitted + excluded < 0)
        return false;
    for (i = 0; i < excluded; i++) {
        const GENERAL_NAME *base = sk_GENERAL_SUBTREE_value(constraints->excludedSubtrees, i)->base;

        if (base->type == GEN_DNS && !is_dns_constraint(base->d.dNSName))
            return false;
        if (base->type == GEN_IPADD && ASN1_STRING_length(base->d.iPAddress) != 8
            && ASN1_STRING_length(base->d.iPAddress) != 32)
            return false;
    }
    return true;
}

/* Returns X509_V_OK if a CA's constraints allow a SPIFFE ID, or an error. */
static int check_uri_constraints(NAME_CONSTRAINTS *constraints, const char *id)
{
    NAME_CONSTRAINTS excluded = {.excludedSubtrees = constraints->excludedSubtrees};
    const char *domain = id + strcspn(id, "/") + 2, *path = domain + strcspn(domain, "/");
    char with_dot[SPIFFE_ID_MAX + 2];
    int error;

    if (!are_uris_effective(constraints))
        return X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX;
    error = check_carrier(carrier_of(GEN_URI, id, strlen(id)), constraints);
    if (error != X509_V_OK)
        return error;
    /* a CA may have written the name that it excludes with a dot at its end */
    snprintf(with_dot, sizeof(with_dot), "%.*s.%s", (int)(path - id), id, path);
    return check_carrier(carrier_of(GEN_URI, with_dot, strlen(with_dot)), &excluded);
}

/* Returns X509_V_OK if a CA's constraints allow a name, or an error. */
static int check_constraints(NAME_CONSTRAINTS *constraints, const char *name)
{
    NAME_CONSTRAINTS excluded = {.excludedSubtrees = constraints->excludedSubtrees};
    const bool is_ip = hostname_is_ip(name);
    ASN1_OCTET_STRING *ip = is_ip ? a2i_IPADDRESS(name) : NULL;
    const size_t len = hostname_length(name);
    char with_dot[HOSTNAME_MAX + 2];
    int error;

    if (spiffe_is_meant(name))
        return check_uri_constraints(constraints, name);
    if (is_ip) {
        error = check_carrier(
            ip ? carrier_of(GEN_IPADD, ASN1_STRING_get0_data(ip), (size_t)ASN1_STRING_length(ip))
               : NULL,
            constraints);
        ASN1_OCTET_STRING_free(ip);
        return error;
    }
    if (len > HOSTNAME_MAX)
        return X509_V_ERR_UNSUPPORTED_NAME_SYNTAX;
    error = check_carrier(carrier_of(GEN_DNS, name, len), constraints);
    if (error != X509_V_OK)
        return error;
    snprintf(with_dot, sizeof(with_dot), "%.*s.", (int)len, name);
    return check_carrier(carrier_of(GEN_DNS, with_dot, len + 1), &excluded);
}

/*
 * RFC 5280 section 4.2.1.10: the library compares a CA's constraints with the names that the
 * certificate has, so that *.example.com evades an excluded bar.example.com. So the name that the
 * section wants must be allowed itself.
 */
static int check_name_constraints(STACK_OF(X509) *chain, const char *name)
{
    int i, error = X509_V_OK;

    for (i = 1; error == X509_V_OK && i < sk_X509_num(chain); i++) {
        int critical = 0;
        NAME_CONSTRAINTS *constraints = X509_get_ext_d2i(sk_X509_value(chain, i),
                                                         NID_name_constraints, &critical, NULL);

        if (constraints && are_effective(constraints))
            error = check_constraints(constraints, name);
        else if (constraints || critical != -1) /* they are present, and cannot be read */
            error = X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX;
        NAME_CONSTRAINTS_free(constraints);
    }
    return error;
}

bool chain_key_is_bounded(const EVP_PKEY *key)
{
    BIGNUM *exponent = NULL;
    bool ok;

    if (!EVP_PKEY_is_a(key, "RSA") && !EVP_PKEY_is_a(key, "RSA-PSS"))
        return true;
    ok = EVP_PKEY_get_bits(key) <= RSA_BITS_MAX
         && EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) == 1
         && BN_num_bits(exponent) <= RSA_EXPONENT_BITS_MAX;
    BN_free(exponent);
    return ok;
}

/*
 * Makes the checks that X509_verify_cert() does not. Returns X509_V_OK, or an error and its depth.
 */
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
    /*
     * X509_verify_cert() does not require that an anchor has the CA flag; 3: a root of version 1 of
     * X.509
     */
    if (last > 0 || X509_self_signed(sk_X509_value(chain, 0), 0) != 1) {
        const int ca = X509_check_ca(sk_X509_value(chain, last));

        if (ca != 1 && ca != 3)
            return X509_V_ERR_INVALID_CA;
    }
    *depth = 0;
    return check_name_constraints(chain, r->name);
}

static bool verify_chain(const struct chain_request *r, bool partial, struct chain_result *result)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    const bool name_matches = certname_matches(r->leaf, r->name);

    *result = (struct chain_result){.error = X509_V_ERR_OUT_OF_MEM};
    if (ctx && X509_STORE_CTX_init(ctx, r->store, r->leaf, r->sent) == 1
        && set_params(ctx, r, partial, name_matches)) {
        bool ok = X509_verify_cert(ctx) == 1;

        result->error = X509_STORE_CTX_get_error(ctx);
        result->depth = X509_STORE_CTX_get_error_depth(ctx);
        if (ok && !name_matches) {
            result->error = X509_V_ERR_HOSTNAME_MISMATCH;
            result->depth = 0;
            ok = false;
        }
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

/* Returns whether verification failed because the chain does not lead to a root in the store. */
static bool is_without_root(int error)
{
    return error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT
           || error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
           || error == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE
           || error == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN;
}

/*
 * Looks for a root first. If a CA below it were accepted at once, nothing above it would be
 * checked: its revocation list, whether the root is revoked, whether the root is the pinned one.
 */
bool chain_verify(const struct chain_request *r, struct chain_result *result)
{
    return verify_chain(r, r->anchors != NULL, result)
           || (r->allow_partial && is_without_root(result->error) && verify_chain(r, true, result));
}

bool chain_is_partial(const struct chain_result *result)
{
    X509 *last = sk_X509_value(result->chain, sk_X509_num(result->chain) - 1);

    return last && X509_self_signed(last, 0) != 1;
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
