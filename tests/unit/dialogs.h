/* Dialogs for tests of whatever runs them: one that asks first, and one that is greeted first. */
#ifndef UNIT_DIALOGS_H
#define UNIT_DIALOGS_H

#include "dialog/dialog.h"

/* Sends "ASK HOST\n". The answer is "OK\n"; any other line is a refusal, and is the detail. */
extern const struct dialog_ops dialog_ask;

/* Reads a line, byte by byte as it comes, which is the greeting, and sends "START\n". */
extern const struct dialog_ops dialog_greeting;

/* How a dialog ends. Texts that are NULL are not compared. */
struct dialog_end {
    enum dialog_result result;
    size_t unread;        /* DIALOG_DONE: how many bytes it leaves */
    const char *detail;   /* DIALOG_FAILED, DIALOG_REFUSED: a part of its detail */
    const char *out;      /* all that it has sent */
    const char *greeting; /* all that it has for the client */
};

/*
 * Asserts that a dialog of section a.example ends so after n bytes of a server, whether they come
 * whole, byte by byte, or cut in two anywhere.
 */
void assert_dialog(const struct dialog_ops *ops, const void *bytes, size_t n,
                   const struct dialog_end *end);

/* Asserts the same of a dialog of another section. */
void assert_dialog_of(const struct config_section *section, const struct dialog_ops *ops,
                      const void *bytes, size_t n, const struct dialog_end *end);

#endif
