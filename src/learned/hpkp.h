/*
 * Pins that a host announces: the value of the Public-Key-Pins field (RFC 7469 sections 2.1 and
 * 2.2). Which pins have to be announced (today's and a backup) is checked by the caller.
 */
#ifndef LEARNED_HPKP_H
#define LEARNED_HPKP_H

#include <stddef.h>
#include <stdint.h>

#include "pin/cert.h"

/* Announced pins that are taken; a host that announces more is refused as a whole. */
#define HPKP_PINS_MAX 16

#define HPKP_FIELD "Public-Key-Pins"

struct hpkp {
    uint8_t pins[HPKP_PINS_MAX][CERT_DIGEST_SIZE]; /* pin-sha256, each once */
    size_t count;
    int64_t max_age; /* seconds, 0 or more; what is larger than INT32_MAX counts as that */
};

/*
 * Parses a field's value. Returns NULL with *out filled in, or what is wrong, a literal; *out is
 * then untouched.
 */
const char *hpkp_parse(const char *value, size_t len, struct hpkp *out);

#endif
