/*
 * tls/libctx: what TLS connections read certificates with. It must read all that can be trusted.
 */
#include "tls/libctx.h"

#include <openssl/crypto.h>
#include <openssl/decoder.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "certs.h"
#include "help.h"

static bool is_lean(void)
{
    return OpenSSL_version_num() < 0x30200000UL;
}

/* As TLS parses what a server presents. */
static X509 *parse(const X509 *cert)
{
    const unsigned char *der;
    size_t len = certs_der(cert, &der);
    X509 *x = X509_new_ex(libctx(), NULL);

    assert_non_null(d2i_X509(&x, &der, (long)len));
    return x;
}

static void it_is_there_and_there_is_one(void **state)
{
    (void)state;
    assert_true((libctx() != NULL) == is_lean());
    assert_ptr_equal(libctx(), libctx());
}

static EVP_PKEY *make_key(const char *type, const char *group)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;

    assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
    if (group)
        assert_int_equal(EVP_PKEY_CTX_set_group_name(ctx, group), 1);
    assert_int_equal(EVP_PKEY_keygen(ctx, &key), 1);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

/* A key type that is forgotten would make its servers unreachable. */
static void keys_of_every_kind_are_read(void **state)
{
    static const struct {
        const char *type;
        const char *group;
        bool names_its_digest;
    } kinds[] = {
        {"RSA", NULL, true},       {"RSA-PSS", NULL, true},  {"EC", "P-256", true},
        {"EC", "P-384", true},     {"EC", "P-521", true},    {"EC", "brainpoolP256r1", true},
        {"EC", "secp256k1", true}, {"ED25519", NULL, false}, {"ED448", NULL, false},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(kinds); i++) {
        EVP_PKEY *key = make_key(kinds[i].type, kinds[i].group);
        X509 *made = X509_new(), *x;

        X509_gmtime_adj(X509_getm_notBefore(made), 0);
        X509_gmtime_adj(X509_getm_notAfter(made), 60);
        assert_true(X509_set_pubkey(made, key) == 1);
        assert_true(X509_sign(made, key, kinds[i].names_its_digest ? EVP_sha256() : NULL) > 0);
        x = parse(made);
        assert_non_null(X509_get0_pubkey(x));
        assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(x), key), 1);
        /* a key of either context verifies what the other has parsed */
        assert_int_equal(X509_verify(x, key), 1);
        assert_int_equal(X509_verify(made, X509_get0_pubkey(x)), 1);
        X509_free(x);
        X509_free(made);
        EVP_PKEY_free(key);
    }
}

static void a_signature_that_is_wrong_stays_wrong(void **state)
{
    struct cert ca = certs_ca("CA"), other = certs_ca("CA"),
                leaf = certs_leaf("DNS:a.example", &ca);
    X509 *x = parse(leaf.x509), *issuer = parse(ca.x509), *stranger = parse(other.x509);

    (void)state;
    assert_int_equal(X509_verify(x, X509_get0_pubkey(issuer)), 1);
    assert_int_equal(X509_verify(x, X509_get0_pubkey(stranger)), 0);
    assert_int_equal(X509_verify(x, other.key), 0);
    X509_free(x);
    X509_free(issuer);
    X509_free(stranger);
}

/* Whatever TLS could do in OpenSSL's own context it can do here. */
static void tls_has_all_its_suites(void **state)
{
    SSL_CTX *own = SSL_CTX_new(TLS_client_method());
    SSL_CTX *here = SSL_CTX_new_ex(libctx(), NULL, TLS_client_method());
    STACK_OF(SSL_CIPHER) *a, *b;
    int i;

    (void)state;
    assert_non_null(own);
    assert_non_null(here);
    assert_int_equal(SSL_CTX_set_cipher_list(own, "ALL:COMPLEMENTOFALL:@SECLEVEL=0"), 1);
    assert_int_equal(SSL_CTX_set_cipher_list(here, "ALL:COMPLEMENTOFALL:@SECLEVEL=0"), 1);
    a = SSL_CTX_get_ciphers(own);
    b = SSL_CTX_get_ciphers(here);
    assert_int_equal(sk_SSL_CIPHER_num(a), sk_SSL_CIPHER_num(b));
    for (i = 0; i < sk_SSL_CIPHER_num(a); i++)
        assert_ptr_equal(sk_SSL_CIPHER_value(a, i), sk_SSL_CIPHER_value(b, i));
    assert_int_equal(SSL_CTX_set1_groups_list(here, "X25519:P-256:P-384:P-521:X448:ffdhe2048"), 1);
    SSL_CTX_free(own);
    SSL_CTX_free(here);
}

static int decoders(int selection)
{
    EVP_PKEY *key = NULL;
    OSSL_DECODER_CTX *ctx = OSSL_DECODER_CTX_new_for_pkey(&key, "DER", NULL, "EC", selection,
                                                          libctx(), NULL);
    int n;

    assert_non_null(ctx);
    n = OSSL_DECODER_CTX_get_num_decoders(ctx);
    OSSL_DECODER_CTX_free(ctx);
    return n;
}

/* Which is where the time is saved. */
static void nothing_else_is_decoded(void **state)
{
    (void)state;
    assert_true(decoders(EVP_PKEY_PUBLIC_KEY) > 0);
    assert_int_equal(decoders(EVP_PKEY_KEYPAIR) == 0, is_lean());
}

/* In a process of its own: OpenSSL reads its configuration once. */
static int says_null_with(const char *configuration)
{
    char path[] = "/tmp/libctx-XXXXXX";
    int fd = mkstemp(path), status = -1;
    pid_t pid;

    if (fd < 0 || dprintf(fd, "%s", configuration) < 0 || close(fd) != 0)
        return -1;
    pid = fork();
    if (pid == 0) {
        setenv("OPENSSL_CONF", path, 1);
        _exit(libctx() == NULL);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        status = -1;
    unlink(path);
    return status < 0 ? -1 : WEXITSTATUS(status);
}

#define PROVIDERS(list) "openssl_conf = a\n[a]\nproviders = b\n[b]\n" list "[on]\nactivate = 1\n"

static int with_default, with_another, with_fips;

static void the_administrators_providers_are_left_alone(void **state)
{
    (void)state;
    assert_int_equal(with_default, !is_lean());
    assert_int_equal(with_another, 1);
    assert_int_equal(with_fips, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_there_and_there_is_one),
        cmocka_unit_test(keys_of_every_kind_are_read),
        cmocka_unit_test(a_signature_that_is_wrong_stays_wrong),
        cmocka_unit_test(tls_has_all_its_suites),
        cmocka_unit_test(nothing_else_is_decoded),
        cmocka_unit_test(the_administrators_providers_are_left_alone),
    };

    /* before anything of OpenSSL's */
    with_default = says_null_with(PROVIDERS("default = on\n"));
    with_another = says_null_with(PROVIDERS("default = on\nbase = on\n"));
    with_fips = says_null_with("openssl_conf = a\n[a]\nalg_section = b\n[b]\n"
                               "default_properties = fips=yes\n");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
