/* Checks of a whole configuration that no single value or section can be held to. */
#ifndef CONFIG_CHECKS_H
#define CONFIG_CHECKS_H

#include "config/config.h"
#include "config/problems.h"

/* No two listeners on one address, and none that other machines reach unless that is allowed. */
void config_check_listeners(const struct config *c, struct problems *problems);

#endif
