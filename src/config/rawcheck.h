/* Checks sections with `raw_key`: a raw public key has no name, no dates and no issuer. */
#ifndef CONFIG_RAWCHECK_H
#define CONFIG_RAWCHECK_H

#include "config/section.h"

/* Adds to diags the options of a section that a raw public key cannot satisfy. */
void rawcheck_section(const struct config_section *s, struct diag_list *diags);

#endif
