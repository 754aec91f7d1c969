/* Checks of what no single value can be held to: of a whole section, of all of them together. */
#ifndef CONFIG_VALIDATE_H
#define CONFIG_VALIDATE_H

#include "config/diag.h"
#include "config/section.h"

/* Checks that the section's name can be its host, for a section without `host`. */
void validate_name(const struct config_section *s, struct diag_list *diags);

/* Checks that no two sections, which are sorted by name, have the same one. */
void validate_twice(const struct config *c, struct diag_list *diags);

/*
 * Checks that the TLS versions of a section leave one, and that its suites are for one of them.
 * Suites that come from [defaults] may be for a version that this section does not have.
 */
void validate_tls(const struct config_section *s, const struct config_section *defaults,
                  struct diag_list *diags);

/* Checks that the addresses of a section can have the family of `bind` and that of `family`. */
void validate_family(const struct config_section *s, struct diag_list *diags);

/* Checks user and group. where: the line that sets group. */
void validate_privileges(const struct config *c, struct location where, struct diag_list *diags);

/*
 * A section's trust holds together: nothing is given that would count for nothing. lines: of the
 * keys that the section gives itself, by their index in options[]; 0: not given. pins_known: no pin
 * was given that could not be read.
 */
void validate_trust(const struct config_section *s, const unsigned *lines, bool pins_known,
                    struct diag_list *diags);

#endif
