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
#define HPKP_PINS_MAX 16

/* A response head may be this long, in bytes. */
#define HPKP_HEAD_MAX ((size_t)32 * 1024)

struct hpkp {
    uint8_t pins[HPKP_PINS_MAX][CERT_DIGEST_SIZE]; /* pin-sha256, each once */
    size_t count;
    int64_t max_age; /* seconds, 0 or more; what is larger than INT32_MAX counts as that */
};

/* Reads a field's value. NULL with *out filled in, or what is wrong; *out is then untouched. */
const char *hpkp_parse(const char *value, size_t len, struct hpkp *out);

enum hpkp_result {
    HPKP_MORE,  /* the head is not complete yet */
    HPKP_FOUND, /* *out has what the host announces */
    HPKP_BAD,   /* *why says what is wrong: no HTTP, no such field, a bad one */
};

/*
 * Looks for the field in a response of which these bytes have come so far, from its first byte on.
 * Interim responses (1xx) before it are passed over. Of several such fields the first counts
 * (RFC 7469 section 2.3.1). ended: no more bytes will come.
 */
enum hpkp_result hpkp_read(const char *bytes, size_t n, int ended, struct hpkp *out,
                           const char **why);

#endif
