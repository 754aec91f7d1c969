/*
 * The forms in which a public key can be written. The holder of a key chooses one: a point may be
 * compressed, an RSA key may be marked for one kind of signature, and OpenSSL reads more than DER. A
 * digest names one form, so that a deny list of digests would not find the same key in another.
 */
#ifndef PIN_SPKI_H
#define PIN_SPKI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct evp_pkey_st; /* OpenSSL's EVP_PKEY */

/*
 * Returns whether a SubjectPublicKeyInfo (RFC 5280 section 4.1) of n bytes is known to be in the
 * ordinary form of its key. This is fast, and true for almost all keys: those on P-256, P-384 and
 * P-521, of Ed25519 and Ed448, and of RSA with 2048, 3072 or 4096 bits and the usual exponent.
 */
bool spki_is_ordinary(const uint8_t *der, size_t n);

/*
 * Computes the SHA-256 digest of a key in its ordinary form: DER, with an uncompressed point
 * (RFC 5480 section 2.2), or as rsaEncryption (RFC 8017 appendix A.1). Returns false if OpenSSL
 * cannot write it so, or if memory is short.
 */
bool spki_ordinary_digest(const struct evp_pkey_st *key, uint8_t out[32]);

#endif
