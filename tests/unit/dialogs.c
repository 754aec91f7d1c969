#include "dialogs.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"
#include "config/section.h"

struct ask {
    bool asked;
};

static enum dialog_result run_ask(void *state, struct dialog_io *io)
{
    static const char ok[] = "OK\n";
    struct ask *a = state;
    const uint8_t *end;

    if (!a->asked)
        strbuf_addf(io->out, "ASK %s\n", io->section->host);
    a->asked = true;
    end = memchr(io->in, '\n', io->in_len);
    if (!end)
        return DIALOG_MORE;
    io->used = (size_t)(end - io->in) + 1;
    if (io->used == strlen(ok) && memcmp(io->in, ok, io->used) == 0)
        return DIALOG_DONE;
    snprintf(io->detail, DIALOG_DETAIL_SIZE, "%.*s", (int)io->used - 1, (const char *)io->in);
    return DIALOG_FAILED;
}

static enum dialog_result run_greeting(void *state, struct dialog_io *io)
{
    (void)state;
    while (io->used < io->in_len) {
        strbuf_add_bytes(io->greeting, (const char *)io->in + io->used, 1);
        if (io->in[io->used++] == '\n') {
            strbuf_add(io->out, "START\n");
            return DIALOG_DONE;
        }
    }
    return DIALOG_MORE;
}

/* two reasons, so that a test can tell whose failure it is */
const struct dialog_ops dialog_ask = {"ask", REASON_CONNECT, sizeof(struct ask), run_ask};
const struct dialog_ops dialog_greeting = {"greeting", REASON_LOOP, 0, run_greeting};
