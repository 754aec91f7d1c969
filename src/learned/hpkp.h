/*
 * Parses the pins that a host announces: the value of the Public-Key-Pins field (RFC 7469 sections
 * 2.1 and 2.2). The caller checks that today's key and a backup are among them.
 */
#ifndef LEARNED_HPKP_H
#define LEARNED_HPKP_H

#include <stddef.h>
#include <stdint.h>

#include "pin/cert.h"

/* The maximum number of announced pins. A field with more is refused as a whole. */
#define HPKP_PINS_MAX 16

#define HPKP_FIELD "Public-Key-Pins"

struct hpkp {
    uint8_t pins[HPKP_PINS_MAX][CERT_DIGEST_SIZE]; /* pin-sha256, each once */
    size_t count;
    int64_t max_age; /* seconds, from 0 to INT32_MAX, which is also used for longer ones */
};

/*
 * Parses a field's value. Returns NULL with *out filled in, or what is wrong, a literal; *out is
 * then untouched.
 */
const char *hpkp_parse(const char *value, size_t len, struct hpkp *out);

#endif
