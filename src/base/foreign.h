/*
 * Words of other programs: what users of stunnel, ssh, curl, nginx and HAProxy write out of habit,
 * and what pinproxy wants in its place. Nothing here is accepted; it only makes messages helpful.
 *
 * A function that returns text returns a phrase that follows "...: " and says what to write, or
 * NULL if it does not know the word. The phrase is a constant.
 */
#ifndef BASE_FOREIGN_H
#define BASE_FOREIGN_H

#include <stdbool.h>

/* Looks up a key that is no option. Case, '-' and '_' make no difference. */
const char *foreign_key(const char *key);

/* Looks up a value of an option that other programs write in another way. */
const char *foreign_value(const char *key, const char *value);

/* Looks at a value of `pin` or `revoked` that has none of their forms. */
const char *foreign_pin(const char *value);

/*
 * Returns whether a comment, from its ';' on, begins with one of some words, which are separated by
 * blanks. A ';' separates values elsewhere, and what follows it would be lost here.
 */
bool foreign_comment(const char *comment, const char *words);

/*
 * Checks a text that was written in the place of a host name. Returns what to write instead if
 * another program would take it, such as a URL or a host with a port; else NULL.
 */
const char *foreign_host(const char *text);

/*
 * Returns the name of a character that editors and web pages put in the place of a blank or a
 * quote, if a value begins or ends with one; else NULL.
 */
const char *foreign_character(const char *value);

#endif
