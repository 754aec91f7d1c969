#include "entries.h"

#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "help.h"

void entries_parse(struct entries *r, const char *text, size_t n)
{
    char *copy = malloc(n ? n : 1); /* of the exact size: one byte too far is seen */

    assert_non_null(copy);
    memcpy(copy, text, n);
    memset(r, 0, sizeof(*r));
    inifile_parse("x.conf", copy, n, &r->arena, &r->file, &r->diags);
    free(copy);
}

void entries_done(struct entries *r)
{
    arena_free(&r->arena);
    diag_free(&r->diags);
}

char *entries_outline(const struct inifile *f)
{
    struct strbuf out = {0};
    size_t i;

    for (i = 0; i < f->count; i++) {
        const struct inifile_entry *e = &f->entries[i];

        strbuf_addf(&out, "%s%u", i ? " " : "", e->where.line);
        if (e->key)
            strbuf_addf(&out, "%s%s=%s", e->key, e->continued ? "+" : "", e->value);
        else
            strbuf_addf(&out, "[%s]", e->section);
    }
    return strbuf_detach(&out);
}
