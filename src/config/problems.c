#include "config/problems.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"

void problems_add(struct problems *p, struct source where, const char *format, ...)
{
    struct strbuf safe = {0};
    struct problem *problem;
    char *text;
    va_list ap;
    size_t i;

    va_start(ap, format);
    if (vasprintf(&text, format, ap) < 0)
        text = xstrdup("out of memory");
    va_end(ap);
    /* quotes what it found, and a configuration may hold anything */
    strbuf_add_safe(&safe, text, strlen(text), 2048);
    free(text);

    /* a value inherited by many sections is wrong once */
    for (i = 0; i < p->count; i++) {
        if (p->items[i].line == where.line && strcmp(p->items[i].file, where.file) == 0
            && strcmp(p->items[i].text, strbuf_text(&safe)) == 0) {
            strbuf_free(&safe);
            return;
        }
    }
    p->items = arena_grow(&p->arena, p->items, p->count, sizeof(*p->items));
    problem = &p->items[p->count];
    problem->file = arena_strdup(&p->arena, where.file);
    problem->line = where.line;
    problem->order = p->count++;
    problem->text = arena_strdup(&p->arena, strbuf_text(&safe));
    strbuf_free(&safe);
}

static int compare(const void *a, const void *b)
{
    const struct problem *x = a, *y = b;
    int files = strcmp(x->file, y->file);

    if (files != 0)
        return files;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

void problem_add_text(const struct problem *p, struct strbuf *out)
{
    strbuf_add_safe(out, p->file, strlen(p->file), 4096);
    if (p->line)
        strbuf_addf(out, ":%u", p->line);
    strbuf_addf(out, ": %s", p->text);
}

void problems_print(struct problems *p, FILE *to)
{
    size_t i;

    if (p->count)
        qsort(p->items, p->count, sizeof(*p->items), compare);
    for (i = 0; i < p->count; i++) {
        struct strbuf line = {0};

        problem_add_text(&p->items[i], &line);
        fprintf(to, "%s\n", line.data);
        strbuf_free(&line);
    }
}

void problems_free(struct problems *p)
{
    arena_free(&p->arena);
    p->items = NULL;
    p->count = 0;
}
