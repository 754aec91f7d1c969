/* tls/clientcert: the certificate and its key belong together, and the digest is that of the chain. */
#include "tls/clientcert.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "certs.h"
#include "help.h"

static struct cert ca, one, two;

/* Writes a file that its owner alone can read. */
static const char *private_text(const char *name, const char *text)
{
    const char *path = temp_text(name, text);

    assert_int_equal(chmod(path, 0600), 0);
    return path;
}

/* Writes up to three PEM blocks. */
static const char *pem_file(const char *name, const char *a, const char *b, const char *c)
{
    char text[16384];

    snprintf(text, sizeof(text), "%s%s%s", a, b ? b : "", c ? c : "");
    return private_text(name, text);
}

static struct config_tls_settings settings_of(const char *cert, const char *key)
{
    return (struct config_tls_settings){.client_cert = {cert, {"x.conf", 7}},
                                        .client_key = {key, {"x.conf", 8}}};
}

static struct clientcert *load(struct config_tls_settings s)
{
    struct diag_list diags = {0};
    struct clientcert *c = clientcert_load(&s, &diags);

    if (!c)
        fail_msg("%s", diags.items[0].text);
    assert_int_equal(diags.count, 0);
    return c;
}

static void refuse(struct config_tls_settings s, unsigned line, const char *part)
{
    struct diag_list diags = {0};

    assert_null(clientcert_load(&s, &diags));
    assert_int_equal(diags.count, 1);
    assert_int_equal(diags.items[0].line, line);
    assert_contains(diags.items[0].text, part);
    assert_int_equal(ERR_peek_error(), 0);
    diag_free(&diags);
}

static void a_context_shows_the_certificate_and_its_chain(void **state)
{
    const char *path = pem_file("me.pem", certs_pem(one.x509), certs_pem(ca.x509),
                                certs_private_pem(one.key, NULL));
    struct clientcert *c = load(settings_of(path, NULL));
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    STACK_OF(X509) *chain = NULL;

    (void)state;
    assert_true(clientcert_use(c, ctx));
    assert_int_equal(X509_cmp(SSL_CTX_get0_certificate(ctx), one.x509), 0);
    assert_int_equal(EVP_PKEY_eq(SSL_CTX_get0_privatekey(ctx), one.key), 1);
    assert_int_equal(SSL_CTX_get0_chain_certs(ctx, &chain), 1);
    assert_int_equal(sk_X509_num(chain), 1);
    assert_int_equal(X509_cmp(sk_X509_value(chain, 0), ca.x509), 0);
    assert_int_equal(c->warning_count, 0);
    SSL_CTX_free(ctx);
    clientcert_free(c);
}

static void the_digest_is_that_of_all_certificates(void **state)
{
    const char *key = private_text("one.key", certs_private_pem(one.key, NULL));
    struct clientcert *alone, *again, *chained;

    (void)state;
    alone = load(settings_of(pem_file("a.pem", certs_pem(one.x509), NULL, NULL), key));
    again = load(settings_of(pem_file("b.pem", "another file:\n", certs_pem(one.x509), NULL), key));
    chained = load(
        settings_of(pem_file("c.pem", certs_pem(one.x509), certs_pem(ca.x509), NULL), key));
    assert_memory_equal(alone->digest, again->digest, sizeof(alone->digest));
    assert_memory_not_equal(alone->digest, chained->digest, sizeof(alone->digest));
    clientcert_free(alone);
    clientcert_free(again);
    clientcert_free(chained);
}

static void a_key_must_belong_to_the_certificate(void **state)
{
    const char *cert = pem_file("cert.pem", certs_pem(one.x509), NULL, NULL);
    const char *key = private_text("two.key", certs_private_pem(two.key, NULL));

    (void)state;
    refuse(settings_of(cert, key), 8, "does not belong");
    refuse(settings_of(cert, NULL), 7, "has no private key: add it, or set client_key");
    refuse(settings_of(cert, cert), 8, "has no private key");
    refuse(settings_of(key, NULL), 7, "has no certificate");
    refuse(settings_of(temp_path("none"), key), 7, "No such file");
}

static void an_encrypted_key_needs_its_password(void **state)
{
    const char *path = pem_file("enc.pem", certs_pem(one.x509),
                                certs_private_pem(one.key, "secret"), NULL);
    struct config_tls_settings s = settings_of(path, NULL);

    (void)state;
    refuse(s, 7, "set client_key_password");
    s.client_key_password = (struct config_string){private_text("bad", "wrong"), {"x.conf", 9}};
    refuse(s, 7, "the password may be wrong");
    s.client_key_password.text = private_text("good", "secret\n");
    clientcert_free(load(s));
    s.client_key_password.text = temp_path("none");
    refuse(s, 9, "No such file");
}

/* The password is not needed for the certificate, nor the key of another purpose in its file. */
static void only_what_is_wanted_is_read(void **state)
{
    const char *cert = pem_file("both.pem", certs_private_pem(two.key, "secret"),
                                certs_pem(one.x509), NULL);
    const char *key = pem_file("key.pem", certs_pem(two.x509), certs_private_pem(one.key, NULL),
                               NULL);
    struct clientcert *c = load(settings_of(cert, key));

    (void)state;
    assert_int_equal(X509_cmp(sk_X509_value(c->certs, 0), one.x509), 0);
    clientcert_free(c);
}

static void each_weakness_is_a_warning(void **state)
{
    const struct cert server = certs_make(
        &(struct cert_order){.cn = "server", .eku = "serverAuth", .issuer = &ca, .to = 10});
    const char *path = pem_file("warned.pem", certs_pem(server.x509),
                                certs_private_pem(server.key, NULL), NULL);
    struct config_tls_settings s = settings_of(path, NULL);
    struct clientcert *c;

    (void)state;
    s.client_key_password.text = temp_text("unused", "secret");
    assert_int_equal(chmod(path, 0604), 0);
    assert_int_equal(chmod(s.client_key_password.text, 0644), 0);
    c = load(s);
    assert_int_equal(c->warning_count, 4);
    assert_contains(c->warnings[0], "(mode 0604)");
    assert_contains(c->warnings[1], "client_key_password");
    assert_contains(c->warnings[2], "not encrypted");
    assert_contains(c->warnings[3], "clientAuth");
    clientcert_free(c);
}

static void clientcert_of_nothing_is_freed(void **state)
{
    (void)state;
    clientcert_free(NULL);
}

static int setup(void **state)
{
    (void)state;
    ca = certs_ca("Test CA");
    one = certs_leaf("DNS:one.example", &ca);
    two = certs_leaf("DNS:two.example", &ca);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_context_shows_the_certificate_and_its_chain),
        cmocka_unit_test(the_digest_is_that_of_all_certificates),
        cmocka_unit_test(a_key_must_belong_to_the_certificate),
        cmocka_unit_test(an_encrypted_key_needs_its_password),
        cmocka_unit_test(only_what_is_wanted_is_read),
        cmocka_unit_test(each_weakness_is_a_warning),
        cmocka_unit_test(clientcert_of_nothing_is_freed),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
