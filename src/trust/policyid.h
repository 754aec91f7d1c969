/* A section's trust as one number: sessions made under another are not resumed. */
#ifndef TRUST_POLICYID_H
#define TRUST_POLICYID_H

#include <stdbool.h>
#include <stdint.h>

#include "config/section.h"

/*
 * SHA-256 over the section's name, whom it trusts (anchors: a digest of anchors and revocation
 * lists), where it connects to and how it speaks. False when memory is short.
 */
bool policyid_section(const struct config_section *s, const uint8_t anchors[32], uint8_t out[32]);

#endif
