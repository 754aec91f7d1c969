/*
 * Words of other programs: options and values that users of stunnel, ssh, curl, nginx and HAProxy
 * write by habit, with the words that pinproxy expects. None of them is accepted; they only make
 * error messages helpful.
 *
 * A function that returns text returns a phrase that says what to write, for use after a colon; or
 * NULL if it does not know the word. The phrase is a literal.
 */
#ifndef BASE_FOREIGN_H
#define BASE_FOREIGN_H

#include <stdbool.h>

/* Looks up a name that is no option. Case, '-' and '_' make no difference. */
const char *foreign_key(const char *key);

/* Looks up a value of an option that other programs write in another way. */
const char *foreign_value(const char *key, const char *value);

/* Looks up a value of `pin` or `revoked` that has none of their forms. */
const char *foreign_pin(const char *value);

/* Looks up a value of `via` that begins with none of its words. */
const char *foreign_via(const char *text);

/*
 * Returns true if a comment, with its ';', begins with one of the words, which are separated by
 * blanks. Other programs separate values with a ';', so a value would be lost in the comment.
 */
bool foreign_comment(const char *comment, const char *words);

/*
 * Checks a text that was written as a host name. Returns what to write if another program accepts
 * it, such as a URL or a host with a port; else NULL.
 */
const char *foreign_host(const char *text);

/*
 * Returns the name of a character that editors and web pages put in place of a blank or a quote, if
 * a value begins or ends with one; else NULL.
 */
const char *foreign_character(const char *value);

#endif
