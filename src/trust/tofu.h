/*
 * Trust on first use (pinproxyd.conf(5), verify = tofu): decides by the keys that a section has
 * stored what the key of a server is to it.
 */
#ifndef TRUST_TOFU_H
#define TRUST_TOFU_H

#include <stdint.h>

#include "pin/cert.h"

struct config_section;
struct pin_match;
struct policy_pins;

enum tofu_result {
    TOFU_KNOWN,     /* it is a key that the section has stored or pins itself */
    TOFU_MISMATCH,  /* the section pins others, or the date of the pin that matches is past */
    TOFU_CHANGED,   /* the section has stored another key */
    TOFU_FIRST_USE, /* the section has no key yet: this one may be stored when it is proved */
};

/* Decides on a server's key. match: the pins of the section that match it. */
enum tofu_result tofu_decide(const struct policy_pins *pins, const struct pin_match *match);

/*
 * Returns the text for TOFU_CHANGED: both keys, and the command that accepts the one that was
 * shown, quoted for a shell. The caller frees it.
 */
char *tofu_explain_change(const struct config_section *section, const struct policy_pins *pins,
                          const uint8_t shown[CERT_DIGEST_SIZE]);

#endif
