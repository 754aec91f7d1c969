/* Configurations from texts, for tests of what is accepted and of the errors in the rest. */
#ifndef UNIT_CONFIGS_H
#define UNIT_CONFIGS_H

#include "config/section.h"

/* Two pins. */
#define A "sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg="
#define B "sha256//Vjs8r4z+80wjNcr1YKepWQboSIRi63WsWXhIMN+eWys="

/* Reads a text that has no error. The caller frees the configuration. */
struct config *take(const char *text);

/* Returns what is wrong with a text that is called x.conf, an error a line. The caller frees it. */
char *faults(const char *text);

/* Checks that a text has one error, in that line, and that the message has these words in it. */
void refuse(const char *text, unsigned line, const char *part);

/* Checks that a text has one error, which is that of the whole file. */
void refuse_whole(const char *text, const char *part);

/*
 * Reads a file. Returns what is wrong with it, an error a line. The caller frees the text and the
 * configuration.
 */
char *load(const char *path, struct config **config);

#endif
