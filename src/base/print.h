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

#endif
