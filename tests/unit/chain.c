/* trust/chain: what a key may be. Chains are verified in unit/trust and unit/verdicts. */
#include "trust/chain.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "certs.h"
#include "help.h"

/*
 * A public key that nobody has the private one of, with a modulus and an exponent of so many bits.
 */
static EVP_PKEY *rsa_of(int bits, int exponent_bits)
{
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    BIGNUM *n = BN_new(), *e = BN_new();
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params;

    assert_true(BN_rand(n, bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD) == 1
                && BN_rand(e, exponent_bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD) == 1
                && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1
                && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1);
    params = OSSL_PARAM_BLD_to_param(build);
    assert_true(EVP_PKEY_fromdata_init(ctx) == 1
                && EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) == 1);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(ctx);
    BN_free(n);
    BN_free(e);
    return key;
}

static void a_server_key_that_is_slow_to_use_is_refused(void **state)
{
    static const struct {
        int bits, exponent_bits;
        bool ok;
    } rows[] = {
        {2048, 17, true},    {4096, 17, true},  {8192, 17, true},
        {8192, 64, true},    {2048, 65, false}, {3072, 65, false},
        {3072, 3071, false}, {8193, 17, false}, {16384, 17, false},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        EVP_PKEY *key = rsa_of(rows[i].bits, rows[i].exponent_bits);

        assert_true(chain_key_is_strong(key));
        assert_int_equal(chain_key_is_bounded(key), rows[i].ok);
        EVP_PKEY_free(key);
    }
    assert_true(chain_key_is_bounded(certs_ec_key()));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_key_that_is_slow_to_use_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
