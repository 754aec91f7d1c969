/*
 * Pins that a host announces: the Public-Key-Pins header field (RFC 7469 sections 2.1 and 2.2), and
 * the head of the HTTP/1.1 response that it stands in (RFC 9112). Bytes in, a verdict out.
 */
#ifndef LEARNED_HPKP_H
#define LEARNED_HPKP_H

#include <stddef.h>
#include <stdint.h>

#include "pin/cert.h"

/* Announced pins that are taken; a host that announces more is refused as a whole. */
#define PKP_PINS_MOST 16

/* A response head may be this long, in bytes. */
#define PKP_HEAD_MOST ((size_t)32 * 1024)

struct pkp {
    uint8_t pins[PKP_PINS_MOST][CERT_DIGEST_SIZE]; /* pin-sha256, each once */
    size_t count;
    int64_t max_age; /* seconds, 0 or more; what is larger than INT32_MAX counts as that */
};

/* Reads a field's value. NULL with *out filled in, or what is wrong; *out is then untouched. */
const char *pkp_parse(const char *value, size_t len, struct pkp *out);

enum pkp_result {
    PKP_MORE,  /* the head is not complete yet */
    PKP_FOUND, /* *out has what the host announces */
    PKP_BAD,   /* *why says what is wrong: no HTTP, no such field, a bad one */
};

/*
 * Looks for the field in a response of which these bytes have come so far, from its first byte on.
 * Interim responses (1xx) before it are passed over. Of several such fields the first counts
 * (RFC 7469 section 2.3.1). ended: no more bytes will come.
 */
enum pkp_result pkp_read(const char *bytes, size_t n, int ended, struct pkp *out, const char **why);

#endif
