/* SPIFFE IDs in certificates: the rules of the X.509-SVID standard for a workload's certificate. */
#ifndef TRUST_SVID_H
#define TRUST_SVID_H

#include <openssl/x509.h>

/*
 * Checks that a certificate is one of the workload with this SPIFFE ID. It must have exactly one
 * URI among its names, and this must be the ID, byte for byte; other kinds of names have no effect
 * (X509-SVID section 2). It must be no CA, and its key usage must permit it to sign neither
 * certificates nor revocation lists (section 5.2). The chain is checked elsewhere (chain.h). Returns
 * NULL, or a static phrase that says what is wrong.
 */
const char *svid_check(X509 *cert, const char *id);

#endif
