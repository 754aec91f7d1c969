/* A value for each option, for tests that walk all rows of the table. */
#ifndef UNIT_SAMPLES_H
#define UNIT_SAMPLES_H

#include "config/options.h"

/*
 * Sets an option in a struct of its scope to a value that is not its default. Returns false if the
 * option has no other value yet. Fails if samples.c has no line for it.
 */
bool sample_set(const struct option_row *o, void *target, struct arena *arena);

#endif
