/* Configurations from texts, for tests of what is accepted and what is said of the rest. */
#ifndef UNIT_CONFIGS_H
#define UNIT_CONFIGS_H

#include "config/section.h"

/* Two pins. */
#define A "sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg="
#define B "sha256//Vjs8r4z+80wjNcr1YKepWQboSIRi63WsWXhIMN+eWys="

/* Reads a text without any fault. The caller frees the configuration. */
struct config *take(const char *text);

/* Returns what is wrong with a text that is called x.conf, a fault a line. The caller frees it. */
char *faults(const char *text);

/* Checks that a text has one fault, in that line, and that the message has these words in it. */
void refuse(const char *text, unsigned line, const char *part);

/* Checks that a text has one fault, which is that of the whole file. */
void refuse_whole(const char *text, const char *part);

#endif
