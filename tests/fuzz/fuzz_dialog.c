/*
 * Dialogs before TLS. The first line of an input is the name of a dialog, and the rest is what the
 * server sends. However it is cut into pieces, the result is the same.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/trial.h"
#include "config/section.h"

/* Beyond that, not every cut is tried. */
#define CUTS 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct dialog_ops *const dialogs[] = {
#define X(id, name) &dialog_##name,
    STARTTLS_PROTOCOLS(X)
#undef X
        & dialog_socks5,
    &dialog_httpconnect,
};

static void need(bool ok)
{
    if (!ok)
        abort();
}

static const struct dialog_ops *find_dialog(const uint8_t *name, size_t n)
{
    size_t i;

    for (i = 0; i < sizeof(dialogs) / sizeof(dialogs[0]); i++)
        if (strlen(dialogs[i]->name) == n && memcmp(dialogs[i]->name, name, n) == 0)
            return dialogs[i];
    return NULL;
}

static void check(const struct trial *t)
{
    need((t->result != DIALOG_FAILED && t->result != DIALOG_REFUSED) || t->detail[0]);
    need(memchr(t->detail, '\0', sizeof(t->detail)));
    /* a greeting is not much more than what the server sent */
    need(t->greeting.len <= 2 * DIALOG_INPUT_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct config_section section = {
        .host = "a.example", .port = 443, .via = {.user = "me", .password = "secret"}};
    const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;
    const struct dialog_ops *ops = newline ? find_dialog(data, (size_t)(newline - data)) : NULL;
    const uint8_t *bytes;
    struct trial whole, t;
    size_t n, first;

    if (!ops)
        return 0;
    bytes = newline + 1;
    n = size - (size_t)(bytes - data);
    if (n > DIALOG_INPUT_MAX)
        return 0;
    trial_run(&whole, ops, &section, bytes, n, n, 0);
    check(&whole);
    for (first = 0; first < n; first += n / CUTS + 1) {
        trial_run(&t, ops, &section, bytes, n, first, first == 0 ? 1 : n);
        check(&t);
        need(trial_same(&whole, &t));
        trial_free(&t);
    }
    trial_free(&whole);
    return 0;
}
