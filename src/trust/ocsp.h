/* OCSP responses that servers staple to their certificates (RFC 6960, RFC 6066 section 8). */
#ifndef TRUST_OCSP_H
#define TRUST_OCSP_H

#include <openssl/x509.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Checks that a response, len bytes of DER at der, says at this time (seconds since the epoch) that
 * the certificate leaf is good. issuer: the certificate that has issued leaf, by a verified
 * signature. der is NULL if no response came. Returns NULL, or what is wrong, a constant text that
 * begins with "OCSP: ".
 */
const char *ocsp_check(const uint8_t *der, size_t len, X509 *leaf, X509 *issuer, int64_t now);

#endif
