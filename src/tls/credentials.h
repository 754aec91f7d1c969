/*
 * Certificates and a private key, as a file has them: PEM, PKCS#12 or DER, with or without a
 * password.
 */
#ifndef TLS_CREDENTIALS_H
#define TLS_CREDENTIALS_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>

#include "tls/password.h"

/* Bits that say which parts to read. The rest of a file is skipped, and needs no password. */
enum { CREDENTIALS_CERTS = 1, CREDENTIALS_KEY = 2 };

struct credentials {
    STACK_OF(X509) *certs; /* in the order of the file; NULL: none */
    EVP_PKEY *key;         /* NULL: none */
    unsigned wrong_line;   /* after an error in a PEM file: its line; or 0 */
};

#define CREDENTIALS_ERROR_SIZE 320

/*
 * Reads the certificates of a file, its key, or both. out is zeroed. password may have no text.
 * Returns NULL, or what is wrong, a phrase that follows the path and out->wrong_line: a literal, or
 * in text. credentials_clear() is necessary in both cases.
 */
const char *credentials_read(const char *path, unsigned wanted, struct password *password,
                             struct credentials *out, char text[CREDENTIALS_ERROR_SIZE]);

/* Takes ownership of a certificate or a key, which may be NULL. Returns false, or why as above. */
bool credentials_add_cert(struct credentials *c, X509 *cert);
const char *credentials_add_key(struct credentials *c, EVP_PKEY *key);

/*
 * Writes OpenSSL's own reason for an error to text, after a phrase, and returns text. Empties the
 * error queue.
 */
const char *credentials_explain(const char *phrase, char text[CREDENTIALS_ERROR_SIZE]);

/* Frees what it refers to, and zeroes it. */
void credentials_clear(struct credentials *c);

#endif
