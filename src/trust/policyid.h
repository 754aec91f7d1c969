/* A policy as one number: a session made under one policy is not resumed under another. */
#ifndef TRUST_POLICYID_H
#define TRUST_POLICYID_H

#include <stdbool.h>
#include <stdint.h>

struct config_section;

/*
 * Computes SHA-256 over the section's name, every option that shapes which server is trusted and
 * how it is spoken to (OPTION_IDENTITY), and anchors, the digest of the trust anchors and
 * revocation lists that those options name (anchors.h). Returns false if out of memory.
 */
bool policyid_section(const struct config_section *s, const uint8_t anchors[32], uint8_t out[32]);

#endif
