/*
 * Raw public keys in place of certificates (RFC 7250), which OpenSSL has from version 3.2 on. The
 * rest of the program sees no difference between the libraries: with an older one no raw key is
 * ever offered or received.
 */
#ifndef TLS_RAWKEY_H
#define TLS_RAWKEY_H

#include <stdbool.h>

#include "config/section.h"

struct evp_pkey_st;       /* OpenSSL's EVP_PKEY */
struct ssl_ctx_st;        /* OpenSSL's SSL_CTX */
struct ssl_session_st;    /* OpenSSL's SSL_SESSION */
struct ssl_st;            /* OpenSSL's SSL */
struct x509_store_ctx_st; /* OpenSSL's X509_STORE_CTX */

/* Returns whether this library has raw public keys. */
bool rawkey_is_supported(void);

/*
 * Makes a context ask servers for a raw public key, first or alone. A server that does not know the
 * question still sends a certificate. Returns false if OpenSSL does not accept it.
 */
bool rawkey_ask(struct ssl_ctx_st *ctx, enum config_raw_key wanted);

/* Returns whether the server of a connection has chosen to send a raw public key. */
bool rawkey_is_chosen(const struct ssl_st *ssl);

/*
 * Return the raw public key that OpenSSL's callback is to verify, that the server of a connection
 * has presented, in its full handshake if the session is resumed, or that belongs to a session. The
 * key lives as long as what it is asked of. NULL: there is none.
 */
struct evp_pkey_st *rawkey_to_verify(const struct x509_store_ctx_st *ctx);
struct evp_pkey_st *rawkey_of_peer(const struct ssl_st *ssl);
struct evp_pkey_st *rawkey_of_session(struct ssl_session_st *session);

#endif
