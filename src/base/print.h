/* Prints lines for people, often on a terminal. */
#ifndef BASE_PRINT_H
#define BASE_PRINT_H

#include <stdio.h>

/*
 * Prints the formatted text as one line. Control bytes, invalid UTF-8 and characters that reorder
 * text are escaped as strbuf_add_safe() does, because a file name, an argument or a peer may have
 * put them there. The line is cut after 8 KiB. The caller may check ferror(3).
 */
void print_line(FILE *to, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Prints program, a colon, and what is wrong with an option. result is what getopt_long(3)
 * returned, '?' or ':'; argv is its argument. The caller has set opterr to 0, and its short options
 * begin with ':', because getopt_long() prints arguments without escaping them.
 */
void print_wrong_option(FILE *to, const char *program, int result, char *const *argv);

#endif
