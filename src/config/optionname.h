/*
 * The names of options in a file: finds one at the beginning of a line, and says what to write in
 * place of a name that is none.
 */
#ifndef CONFIG_OPTIONNAME_H
#define CONFIG_OPTIONNAME_H

#include "base/mem.h"
#include "config/options.h"

/*
 * Checks if a line is "OPTION = VALUE" or "OPTION: VALUE". Returns the option's name, a literal,
 * after storing the beginning of the value; or returns NULL if no scope has such an option.
 */
const char *optionname_find(const char *line, const char **value);

/*
 * Returns what is wrong with a name that is no option of a scope, and what to write; in the arena.
 */
const char *optionname_explain(const char *key, enum option_scope scope, struct arena *arena);

#endif
