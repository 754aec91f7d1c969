/*
 * The signatures of revocation lists and of OCSP responses, which X509_verify_cert(3) does not
 * check for strength.
 */
#ifndef TRUST_SIGALG_H
#define TRUST_SIGALG_H

#include <stdbool.h>

/*
 * Returns whether a signature algorithm (its NID) uses MD5, SHA-1 or another digest under 112 bits.
 */
bool sigalg_is_weak(int algorithm);

#endif
