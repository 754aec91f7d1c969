#include "pin/spki.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>
#include <string.h>

#include "base/util.h"

/* How an ordinary SubjectPublicKeyInfo begins and ends. */
struct form {
    size_t length; /* of all of it */
    const char *head;
    size_t head_len;
    const char *tail;
    size_t tail_len;
};

#define FORM(length, head)                                                                         \
    {                                                                                              \
        length, head, sizeof(head) - 1, "", 0                                                      \
    }
#define RSA_FORM(length, head)                                                                     \
    {                                                                                              \
        length, head, sizeof(head) - 1, "\x02\x03\x01\x00\x01", 5                                  \
    }

/* rsaEncryption with its NULL, as RFC 8017 appendix A.1 wants it */
#define RSA_ALGORITHM "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00"

static const struct form forms[] = {
    /* id-ecPublicKey on P-256, P-384 and P-521: 4 is an uncompressed point */
    FORM(91, "\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03"
             "\x01\x07\x03\x42\x00\x04"),
    FORM(120, "\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03"
              "\x62\x00\x04"),
    FORM(158, "\x30\x81\x9b\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23"
              "\x03\x81\x86\x00\x04"),
    /* Ed25519 and Ed448 (RFC 8410) */
    FORM(44, "\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"),
    FORM(69, "\x30\x43\x30\x05\x06\x03\x2b\x65\x71\x03\x3a\x00"),
    /* RSA of 2048, 3072 and 4096 bits with the exponent 65537 */
    RSA_FORM(294, "\x30\x82\x01\x22" RSA_ALGORITHM "\x03\x82\x01\x0f\x00\x30\x82\x01\x0a\x02\x82"
                  "\x01\x01\x00"),
    RSA_FORM(422, "\x30\x82\x01\xa2" RSA_ALGORITHM "\x03\x82\x01\x8f\x00\x30\x82\x01\x8a\x02\x82"
                  "\x01\x81\x00"),
    RSA_FORM(550, "\x30\x82\x02\x22" RSA_ALGORITHM "\x03\x82\x02\x0f\x00\x30\x82\x02\x0a\x02\x82"
                  "\x02\x01\x00"),
};

bool spki_is_ordinary(const uint8_t *der, size_t n)
{
    size_t i;

    for (i = 0; i < COUNT_OF(forms); i++) {
        const struct form *f = &forms[i];

        if (n == f->length && memcmp(der, f->head, f->head_len) == 0
            && memcmp(der + n - f->tail_len, f->tail, f->tail_len) == 0)
            return true;
    }
    return false;
}

static EVP_PKEY *with_uncompressed_point(const EVP_PKEY *key)
{
    EVP_PKEY *copy = EVP_PKEY_dup((EVP_PKEY *)key);

    if (copy
        && EVP_PKEY_set_utf8_string_param(copy, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                                          "uncompressed")
               == 1)
        return copy;
    EVP_PKEY_free(copy);
    return NULL;
}

/* Returns an RSA key that is good for any signature. */
static EVP_PKEY *without_restrictions(const EVP_PKEY *key)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    BIGNUM *n = NULL, *e = NULL;
    OSSL_PARAM *params = NULL;
    EVP_PKEY *plain = NULL;

    if (build && EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) == 1
        && EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) == 1
        && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1
        && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1)
        params = OSSL_PARAM_BLD_to_param(build);
    if (!ctx || !params || EVP_PKEY_fromdata_init(ctx) != 1
        || EVP_PKEY_fromdata(ctx, &plain, EVP_PKEY_PUBLIC_KEY, params) != 1)
        plain = NULL;
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    BN_free(n);
    BN_free(e);
    EVP_PKEY_CTX_free(ctx);
    return plain;
}

static bool digest(const EVP_PKEY *key, uint8_t out[32])
{
    unsigned char *der = NULL;
    const int len = i2d_PUBKEY(key, &der);
    const bool ok = len > 0 && EVP_Digest(der, (size_t)len, out, NULL, EVP_sha256(), NULL) == 1;

    OPENSSL_free(der);
    return ok;
}

bool spki_ordinary_digest(const EVP_PKEY *key, uint8_t out[32])
{
    EVP_PKEY *copy;
    bool ok;

    if (EVP_PKEY_is_a(key, "EC"))
        copy = with_uncompressed_point(key);
    else if (EVP_PKEY_is_a(key, "RSA-PSS"))
        copy = without_restrictions(key);
    else
        return digest(key, out);
    ok = copy && digest(copy, out);
    EVP_PKEY_free(copy);
    return ok;
}
