/*
 * The written forms of a SHA-256 digest: the base64 of RFC 7469 section 2.4 and of curl's sha256//,
 * and the hex digits of `openssl x509 -fingerprint`. Nothing else in this program decodes one.
 */
#ifndef PIN_DIGEST_H
#define PIN_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "pin/cert.h"

/* Characters of a digest in base64, its padding included. */
#define DIGEST_BASE64_LEN 44

/* Characters of a digest in hex digits, without colons and with one between every two bytes. */
#define DIGEST_HEX_LEN 64
#define DIGEST_HEX_COLONS_LEN 95

/*
 * Reads the n bytes at text, which need no NUL behind them: the base64 of 32 bytes in its one
 * canonical spelling (RFC 4648 section 4: with padding, no spare bits set). Returns NULL and fills
 * in digest, or returns what is wrong and leaves digest alone. A digest of zeros is refused, for it
 * is no key's.
 */
const char *digest_read_base64(const char *text, size_t n, uint8_t digest[CERT_DIGEST_SIZE]);

/*
 * Reads the n bytes at text, which need no NUL behind them: 64 hex digits of either case, with
 * colons between all bytes or none. Returns as digest_read_base64() does.
 */
const char *digest_read_hex(const char *text, size_t n, uint8_t digest[CERT_DIGEST_SIZE]);

/* Writes a digest in base64, with a NUL behind it. */
void digest_write_base64(const uint8_t digest[CERT_DIGEST_SIZE], char out[DIGEST_BASE64_LEN + 1]);

/* Writes a digest in hex digits of lower case, without colons, with a NUL behind them. */
void digest_write_hex(const uint8_t digest[CERT_DIGEST_SIZE], char out[DIGEST_HEX_LEN + 1]);

#endif
