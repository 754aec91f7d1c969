#include "base/print.h"

#include <stdarg.h>
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
