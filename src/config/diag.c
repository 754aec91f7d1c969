#include "config/diag.h"

#include <search.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"

static int compare_texts(const void *a, const void *b)
{
    const struct diag *x = a, *y = b;
    const int files = strcmp(x->file, y->file);

    if (files != 0)
        return files;
    return x->line != y->line ? x->line < y->line ? -1 : 1 : strcmp(x->text, y->text);
}

/* The tree has copies, because the list moves when it grows. */
static void append(struct diag_list *p, const struct diag *diag)
{
    struct diag *copy = arena_alloc(&p->arena, sizeof(*copy));

    copy->file = arena_strdup(&p->arena, diag->file);
    copy->line = diag->line;
    copy->text = arena_strdup(&p->arena, diag->text);
    copy->order = p->count;
    (void)tsearch(copy, &p->known, compare_texts);
    p->items = arena_grow(&p->arena, p->items, p->count, sizeof(*p->items));
    p->items[p->count++] = *copy;
}

void diag_add(struct diag_list *p, struct location where, const char *format, ...)
{
    struct strbuf safe = {0};
    struct diag diag;
    char *text;
    va_list ap;

    va_start(ap, format);
    if (vasprintf(&text, format, ap) < 0)
        text = xstrdup("out of memory");
    va_end(ap);
    /* it quotes a configuration, which may contain anything */
    strbuf_add_safe(&safe, text, strlen(text), 2048);
    free(text);

    diag = (struct diag){.file = where.file, .line = where.line, .text = strbuf_text(&safe)};
    /* many sections can inherit one wrong value */
    if (!tfind(&diag, &p->known, compare_texts))
        append(p, &diag);
    strbuf_free(&safe);
}

static int compare(const void *a, const void *b)
{
    const struct diag *x = a, *y = b;
    int files = strcmp(x->file, y->file);

    if (files != 0)
        return files;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

void diag_format(const struct diag *p, struct strbuf *out)
{
    strbuf_add_safe(out, p->file, strlen(p->file), 4096);
    if (p->line)
        strbuf_addf(out, ":%u", p->line);
    strbuf_addf(out, ": %s", p->text);
}

void diag_print(struct diag_list *p, FILE *to)
{
    size_t i;

    if (p->count)
        qsort(p->items, p->count, sizeof(*p->items), compare);
    for (i = 0; i < p->count; i++) {
        struct strbuf line = {0};

        diag_format(&p->items[i], &line);
        fprintf(to, "%s\n", line.data);
        strbuf_free(&line);
    }
}

static void leave_item(void *item)
{
    (void)item; /* it is in the arena */
}

void diag_free(struct diag_list *p)
{
    tdestroy(p->known, leave_item);
    p->known = NULL;
    arena_free(&p->arena);
    p->items = NULL;
    p->count = 0;
}
