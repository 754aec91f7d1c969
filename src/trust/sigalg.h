/*
 * Signatures that are relied on beside those of certificates: on revocation lists, OCSP responses.
 */
#ifndef TRUST_SIGALG_H
#define TRUST_SIGALG_H

#include <stdbool.h>

/*
 * Whether an algorithm (OpenSSL's number of it) goes by MD5, SHA-1 or another digest under 112
 * bits.
 */
bool sigalg_is_weak(int algorithm);

#endif
