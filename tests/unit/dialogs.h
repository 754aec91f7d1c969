/* Dialogs for tests of whatever runs them: one that asks first, and one that is greeted first. */
#ifndef UNIT_DIALOGS_H
#define UNIT_DIALOGS_H

#include "dialog/dialog.h"

/* Sends "ASK HOST\n". The answer is "OK\n"; any other line is a refusal, and is the detail. */
extern const struct dialog_ops dialog_ask;

/* Reads a line, byte by byte as it comes, which is the greeting, and sends "START\n". */
extern const struct dialog_ops dialog_greeting;

#endif
