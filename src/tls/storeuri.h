/*
 * Certificates and private keys that a URI names, such as those in a PKCS#11 token, through
 * OpenSSL's providers (OSSL_STORE(3)). OpenSSL 3.0 of Debian 12 has no provider for PKCS#11: for
 * "pkcs11:" (RFC 7512) its engine is used where there is no provider.
 */
#ifndef TLS_STOREURI_H
#define TLS_STOREURI_H

#include "tls/credentials.h"

/*
 * Reads the certificates that a URI names, its key, or both, as credentials_read() does. It may
 * wait for the token. Errors are phrases that follow the URI.
 */
const char *storeuri_read(const char *uri, unsigned wanted, struct password *password,
                          struct credentials *out, char text[CREDENTIALS_ERROR_SIZE]);

#endif
