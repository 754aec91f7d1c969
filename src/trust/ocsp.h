/* OCSP responses that servers staple to their certificates (RFC 6960, RFC 6066 section 8). */
#ifndef TRUST_OCSP_H
#define TRUST_OCSP_H

#include <openssl/x509.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Whether a response, in DER, says at this time (seconds since the epoch) that a certificate is
 * good. issuer: the certificate that has issued it by a verified signature. Returns NULL, or what
 * is wrong, which begins with "OCSP: ". der NULL: none came.
 */
const char *ocsp_check(const uint8_t *der, size_t len, X509 *leaf, X509 *issuer, int64_t now);

#endif
