/* Lines for a person to read, often on a terminal. */
#ifndef BASE_PRINT_H
#define BASE_PRINT_H

#include <stdio.h>

/*
 * Prints the formatted text as one line. Whatever a file name, an argument or a peer brought into
 * it, no control byte, invalid UTF-8 or character that reorders text reaches the terminal: see
 * strbuf_add_safe(), which also says how these are written instead. A cut is made after 8 KiB.
 * Errors are left to be found by ferror(3).
 */
void print_line(FILE *to, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Prints, after program and a colon, what is wrong with an option: result is what getopt_long(3)
 * returned, '?' or ':', argv its argument. For callers that have set opterr to 0 and whose short
 * options begin with ':', because getopt_long() writes to the terminal whatever it was given.
 */
void print_wrong_option(FILE *to, const char *program, int result, char *const *argv);

#endif
