/* Compares dates of certificates and of OCSP responses with a moment. */
#ifndef TRUST_ASN1TIME_H
#define TRUST_ASN1TIME_H

#include <stdint.h>

struct asn1_string_st; /* OpenSSL's ASN1_TIME, ASN1_GENERALIZEDTIME */

/*
 * Compares time with at, in seconds since the epoch. Returns -1 if time is at or before it, 1 if
 * time is after it, and 0 if time is NULL or no date as RFC 5280 section 4.1.2.5 has it: with
 * seconds and a Z, without a fraction or a time zone. Callers refuse in that case.
 *
 * This is OpenSSL's X509_cmp_time(), which OpenSSL 4.0 deprecates. ASN1_TIME_cmp_time_t() accepts
 * other dates than those, and its -2 for an error is easily taken for "before".
 */
int asn1time_compare(const struct asn1_string_st *time, int64_t at);

#endif
