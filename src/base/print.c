#include "base/print.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"

#define LINE_MAX_SIZE (8 * 1024)

void print_line(FILE *to, const char *format, ...)
{
    struct strbuf line = {0};
    char *text;
    va_list ap;
    int n;

    va_start(ap, format);
    n = vasprintf(&text, format, ap);
    va_end(ap);
    if (n < 0)
        return;
    strbuf_add_safe(&line, text, (size_t)n, LINE_MAX_SIZE);
    fprintf(to, "%s\n", strbuf_text(&line));
    strbuf_free(&line);
    free(text);
}

void print_wrong_option(FILE *to, const char *program, int result, char *const *argv)
{
    const char letter[] = {'-', (char)optopt, '\0'}, *word = argv[optind - 1];
    const bool is_long = strncmp(word, "--", 2) == 0;

    if (result == ':')
        print_line(to, "%s: option '%s' needs a value", program, is_long ? word : letter);
    else if (optopt && is_long && strchr(word, '='))
        print_line(to, "%s: '%s': this option takes no value", program, word);
    else
        print_line(to, "%s: unknown option '%s'", program, optopt ? letter : word);
}
