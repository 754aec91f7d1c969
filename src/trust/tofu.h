/*
 * Trust on first use: the key that a section keeps, and the words for a server that shows another
 * one. trust.c is where it is decided. See pinproxyd.conf(5), verify.
 */
#ifndef TRUST_TOFU_H
#define TRUST_TOFU_H

#include <stddef.h>
#include <stdint.h>

#include "config/section.h"
#include "learned/learned.h"
#include "pin/cert.h"

/* Returns the one of a section's learned keys that was kept on first use, or NULL. */
const struct learned_key *tofu_kept_key(const struct learned_key *keys, size_t count);

/*
 * Returns the text for a server that shows another key than the one that the section keeps: both
 * pins, and the command that accepts the new one, which a shell can be given as it is. The caller
 * frees it.
 */
char *tofu_explain_change(const struct config_section *section, const struct learned_key *kept,
                          const uint8_t shown[CERT_DIGEST_SIZE]);

#endif
