#include "tls/rawkey.h"

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#ifdef TLSEXT_cert_type_rpk

bool rawkey_is_supported(void)
{
    return true;
}

bool rawkey_ask(SSL_CTX *ctx, enum config_raw_key wanted)
{
    /* in the order of preference; a server that has both chooses */
    static const unsigned char types[] = {TLSEXT_cert_type_rpk, TLSEXT_cert_type_x509};

    switch (wanted) {
    case RAW_KEY_NO:
        return true;
    case RAW_KEY_OFFER:
        return SSL_CTX_set1_server_cert_type(ctx, types, 2) == 1;
    case RAW_KEY_REQUIRE:
        return SSL_CTX_set1_server_cert_type(ctx, types, 1) == 1;
    }
    return false;
}

bool rawkey_is_chosen(const SSL *ssl)
{
    return SSL_get_negotiated_server_cert_type(ssl) == TLSEXT_cert_type_rpk;
}

EVP_PKEY *rawkey_to_verify(const X509_STORE_CTX *ctx)
{
    return X509_STORE_CTX_get0_rpk(ctx);
}

EVP_PKEY *rawkey_of_peer(const SSL *ssl)
{
    return SSL_get0_peer_rpk(ssl);
}

EVP_PKEY *rawkey_of_session(SSL_SESSION *session)
{
    return SSL_SESSION_get0_peer_rpk(session);
}

#else

bool rawkey_is_supported(void)
{
    return false;
}

bool rawkey_ask(SSL_CTX *ctx, enum config_raw_key wanted)
{
    (void)ctx;
    return wanted == RAW_KEY_NO;
}

bool rawkey_is_chosen(const SSL *ssl)
{
    (void)ssl;
    return false;
}

EVP_PKEY *rawkey_to_verify(const X509_STORE_CTX *ctx)
{
    (void)ctx;
    return NULL;
}

EVP_PKEY *rawkey_of_peer(const SSL *ssl)
{
    (void)ssl;
    return NULL;
}

EVP_PKEY *rawkey_of_session(SSL_SESSION *session)
{
    (void)session;
    return NULL;
}

#endif
