#include "dialogs.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"
#include "config/section.h"
#include "help.h"
#include "trial.h"

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

static void assert_text(const struct strbuf *text, const char *expected)
{
    if (expected)
        assert_string_equal(strbuf_text(text), expected);
}

static void assert_end(const struct trial *t, size_t n, const struct dialog_end *end)
{
    if (t->result != end->result)
        fail_msg("result %d instead of %d: %s", (int)t->result, (int)end->result, t->detail);
    if ((end->result == DIALOG_FAILED || end->result == DIALOG_REFUSED) && end->detail)
        assert_contains(t->detail, end->detail);
    if (end->result == DIALOG_DONE)
        assert_int_equal(n - t->used, end->unread);
    assert_text(&t->out, end->out);
    assert_text(&t->greeting, end->greeting);
}

static void assert_same(const struct trial *whole, const struct trial *t, size_t first, size_t size)
{
    if (!trial_same(whole, t))
        fail_msg("cut after %zu and then every %zu bytes: result %d instead of %d, %zu bytes used "
                 "instead of %zu, '%s', '%s'",
                 first, size, (int)t->result, (int)whole->result, t->used, whole->used, t->detail,
                 whole->detail);
}

void assert_dialog(const struct dialog_ops *ops, const void *bytes, size_t n,
                   const struct dialog_end *end)
{
    static const struct config_section section = {.host = "a.example"};

    assert_dialog_of(&section, ops, bytes, n, end);
}

void assert_dialog_of(const struct config_section *section, const struct dialog_ops *ops,
                      const void *bytes, size_t n, const struct dialog_end *end)
{
    struct trial whole, t;
    size_t first, size;

    trial_run(&whole, ops, section, bytes, n, n, 0);
    assert_end(&whole, n, end);
    for (first = 0; first < n; first++) {
        size = first == 0 ? 1 : n;
        trial_run(&t, ops, section, bytes, n, first, size);
        assert_same(&whole, &t, first, size);
        trial_free(&t);
    }
    trial_free(&whole);
}
