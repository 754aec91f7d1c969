/*
 * Checks that involve several options of a section, or several sections. The checks of a single
 * value are in values.h. Those that need OpenSSL follow when a section is made ready to run, in
 * tls/tlsctx, tls/tlsoffer and trust/anchors.
 */
#ifndef CONFIG_VALIDATE_H
#define CONFIG_VALIDATE_H

#include "config/diag.h"
#include "config/section.h"

/*
 * Checks that the options of a section are consistent and that each one that it sets has an effect.
 * The section must be complete (config_complete()). defaults: those of [defaults], which may serve
 * other sections. Adds to diags.
 */
void validate_section(const struct config_section *s, const struct config_section *defaults,
                      struct diag_list *diags);

/*
 * Checks all sections together: that there is one, that no two have the same name, and that all
 * listeners can be bound together and are for this machine alone, unless that is allowed. Checks
 * [global] too. The sections must be sorted. unmatched: a pattern of `include` that no file
 * matches, or NULL. Adds to diags.
 */
void validate_config(const struct config *c, const struct config_string *unmatched,
                     struct diag_list *diags);

#endif
