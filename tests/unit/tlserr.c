/* tls/tlserr: which of OpenSSL's errors is told, and how. */
#include "tls/tlserr.h"

#include <openssl/asn1err.h>
#include <openssl/err.h>
#include <openssl/proverr.h>
#include <openssl/ssl.h>
#include <string.h>

#include "help.h"

static SSL_CTX *ctx;
static SSL *ssl;

static void expect_asked(bool asked, enum reason reason, const char *part)
{
    char words[TLSERR_TEXT_SIZE];

    assert_string_equal(reason_name(tlserr_reason(ssl, asked, words)), reason_name(reason));
    assert_contains(words, part);
    ERR_clear_error();
}

static void expect(enum reason reason, const char *part)
{
    expect_asked(false, reason, part);
}

static void the_error_of_tls_is_reported_rather_than_its_cause(void **state)
{
    (void)state;
    ERR_raise(ERR_LIB_PROV, PROV_R_CIPHER_OPERATION_FAILED);
    ERR_raise(ERR_LIB_SSL, SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC);
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
    expect(REASON_TLS, "decryption failed or bad record mac");
}

/* Numbers of reasons mean something for their library only. */
static void another_librarys_number_means_nothing(void **state)
{
    (void)state;
    ERR_raise(ERR_LIB_X509, SSL_R_EE_KEY_TOO_SMALL);
    expect(REASON_TLS, "");
    ERR_raise(ERR_LIB_X509, SSL_R_DH_KEY_TOO_SMALL);
    expect(REASON_TLS, "");
    ERR_raise(ERR_LIB_X509, SSL_R_UNSUPPORTED_PROTOCOL);
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
    expect(REASON_TLS, "bad length");
    ERR_raise(ERR_LIB_X509, SSL_R_UNEXPECTED_EOF_WHILE_READING);
    assert_false(tlserr_is_end());
    ERR_clear_error();
    ERR_raise(ERR_LIB_X509, SSL_AD_REASON_OFFSET + SSL_AD_CERTIFICATE_REQUIRED);
    expect(REASON_TLS, "");
}

static void a_weak_key_is_weak(void **state)
{
    (void)state;
    ERR_raise(ERR_LIB_SSL, SSL_R_EE_KEY_TOO_SMALL);
    expect(REASON_WEAK, "");
    ERR_raise(ERR_LIB_EVP, 1);
    ERR_raise(ERR_LIB_SSL, SSL_R_DH_KEY_TOO_SMALL);
    expect(REASON_WEAK, "Diffie-Hellman");
}

static void an_alert_is_reported_whatever_is_before_it(void **state)
{
    (void)state;
    ERR_raise(ERR_LIB_ASN1, ASN1_R_TOO_LONG);
    ERR_raise(ERR_LIB_SSL, SSL_AD_REASON_OFFSET + SSL_AD_CERTIFICATE_REQUIRED);
    expect_asked(true, REASON_CLIENT_CERT, "the server requires a client certificate");
    ERR_raise(ERR_LIB_SSL, SSL_AD_REASON_OFFSET + SSL_AD_HANDSHAKE_FAILURE);
    expect(REASON_TLS, "the server refused: handshake failure");
}

/* The same alerts say other things too, to a client that was asked for nothing. */
static void only_a_server_that_has_asked_refuses_a_client_certificate(void **state)
{
    static const struct {
        int alert;
        enum reason asked;
    } rows[] = {
        {SSL_AD_HANDSHAKE_FAILURE, REASON_CLIENT_CERT},
        {SSL_AD_BAD_CERTIFICATE, REASON_CLIENT_CERT},
        {SSL_AD_UNSUPPORTED_CERTIFICATE, REASON_CLIENT_CERT},
        {SSL_AD_CERTIFICATE_REVOKED, REASON_CLIENT_CERT},
        {SSL_AD_CERTIFICATE_EXPIRED, REASON_CLIENT_CERT},
        {SSL_AD_CERTIFICATE_UNKNOWN, REASON_CLIENT_CERT},
        {SSL_AD_UNKNOWN_CA, REASON_CLIENT_CERT},
        {SSL_AD_ACCESS_DENIED, REASON_CLIENT_CERT},
        {SSL_AD_CERTIFICATE_REQUIRED, REASON_CLIENT_CERT},
        {SSL_AD_DECODE_ERROR, REASON_CLIENT_CERT},
        {SSL_AD_INTERNAL_ERROR, REASON_TLS},
        {SSL_AD_PROTOCOL_VERSION, REASON_TLS},
        {SSL_AD_UNRECOGNIZED_NAME, REASON_TLS},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        ERR_raise(ERR_LIB_SSL, SSL_AD_REASON_OFFSET + rows[i].alert);
        expect_asked(true, rows[i].asked, "the server re");
        ERR_raise(ERR_LIB_SSL, SSL_AD_REASON_OFFSET + rows[i].alert);
        expect_asked(false, REASON_TLS, "the server refused: ");
    }
}

static void the_end_is_distinguished_from_other_errors(void **state)
{
    (void)state;
    assert_false(tlserr_is_end());
    ERR_raise(ERR_LIB_SSL, SSL_R_UNEXPECTED_EOF_WHILE_READING);
    assert_true(tlserr_is_end());
    ERR_clear_error();
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
    assert_false(tlserr_is_end());
    ERR_clear_error();
}

static void without_an_error_there_are_words_as_well(void **state)
{
    (void)state;
    expect(REASON_TLS, "broke off");
    ERR_raise(ERR_LIB_ASN1, ASN1_R_TOO_LONG);
    expect(REASON_TLS, "too long");
}

static int setup(void **state)
{
    (void)state;
    ctx = SSL_CTX_new(TLS_client_method());
    ssl = ctx ? SSL_new(ctx) : NULL;
    return ssl ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_error_of_tls_is_reported_rather_than_its_cause),
        cmocka_unit_test(another_librarys_number_means_nothing),
        cmocka_unit_test(a_weak_key_is_weak),
        cmocka_unit_test(an_alert_is_reported_whatever_is_before_it),
        cmocka_unit_test(only_a_server_that_has_asked_refuses_a_client_certificate),
        cmocka_unit_test(the_end_is_distinguished_from_other_errors),
        cmocka_unit_test(without_an_error_there_are_words_as_well),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
