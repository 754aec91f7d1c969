/*
 * The base64 form of the SHA-256 digest of a public key (SubjectPublicKeyInfo), as in RFC 7469,
 * section 2.4, and in curl's sha256//. There is one spelling for each digest.
 */
#ifndef PIN_SPKI_H
#define PIN_SPKI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pin/cert.h"

/* Characters of a digest in base64, its padding included. */
#define SPKI_BASE64_LEN 44

/*
 * Reads the n bytes at text, which need no NUL behind them. Returns true and fills in digest if they
 * are the base64 of 32 bytes in its one canonical spelling (with padding, no spare bits set).
 */
bool spki_decode(const char *text, size_t n, uint8_t digest[CERT_DIGEST_SIZE]);

/* Writes the base64 of a digest with a NUL behind it. */
void spki_encode(const uint8_t digest[CERT_DIGEST_SIZE], char out[SPKI_BASE64_LEN + 1]);

#endif
