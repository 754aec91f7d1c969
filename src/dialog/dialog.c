#include "dialog/dialog.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"

struct dialog {
    struct dialog_list list;
    size_t index; /* of the one that runs */
    size_t attempt;
    bool ended;
    size_t received;
    size_t used;
    size_t before; /* what the dialogs before this one have used */
    struct strbuf out;
    struct strbuf greeting;
    char detail[DIALOG_DETAIL_SIZE];
    uint8_t in[DIALOG_INPUT_MAX];
    size_t state_size;
    _Alignas(max_align_t) uint8_t state[];
};

struct dialog *dialog_new(const struct dialog_list *list)
{
    struct dialog *d;
    size_t size = 0, i;

    for (i = 0; i < list->count; i++)
        if (list->items[i]->size > size)
            size = list->items[i]->size;
    d = calloc(1, sizeof(*d) + size);
    if (!d)
        return NULL;
    d->list = *list;
    d->state_size = size;
    return d;
}

void dialog_set_attempt(struct dialog *d, size_t attempt)
{
    d->attempt = attempt;
}

void dialog_free(struct dialog *d)
{
    if (!d)
        return;
    strbuf_free(&d->out);
    strbuf_free(&d->greeting);
    free(d);
}

static enum dialog_result run(struct dialog *d, const struct config_section *section)
{
    struct dialog_io io = {.section = section,
                           .attempt = d->attempt,
                           .ended = d->ended,
                           .in = d->in + d->used,
                           .in_len = d->received - d->used,
                           .out = &d->out,
                           .greeting = &d->greeting,
                           .detail = d->detail};
    const enum dialog_result result = dialog_current(d)->run(d->state, &io);

    assert(io.used <= io.in_len);
    d->used += io.used;
    return result;
}

enum dialog_result dialog_feed(struct dialog *d, const struct config_section *section,
                               const uint8_t *bytes, size_t n)
{
    enum dialog_result result;

    strbuf_clear(&d->out);
    if (n > sizeof(d->in) - d->received) {
        snprintf(d->detail, sizeof(d->detail), "the server sent more than %d bytes before TLS",
                 DIALOG_INPUT_MAX);
        return DIALOG_FAILED;
    }
    if (n > 0)
        memcpy(d->in + d->received, bytes, n);
    d->received += n;
    while ((result = run(d, section)) == DIALOG_DONE && d->index + 1 < d->list.count) {
        d->index++;
        d->before = d->used;
        memset(d->state, 0, d->state_size);
    }
    return result;
}

enum dialog_result dialog_end(struct dialog *d, const struct config_section *section)
{
    enum dialog_result result;

    d->ended = true;
    result = run(d, section);
    if (result == DIALOG_FAILED || result == DIALOG_REFUSED)
        return result;
    dialog_fail(d, "the server closed the connection");
    return DIALOG_FAILED;
}

void dialog_fail(struct dialog *d, const char *why)
{
    snprintf(d->detail, sizeof(d->detail), "%s", why);
}

const uint8_t *dialog_output(const struct dialog *d, size_t *n)
{
    *n = d->out.len;
    return (const uint8_t *)strbuf_text(&d->out);
}

struct strbuf dialog_take_greeting(struct dialog *d)
{
    const struct strbuf greeting = d->greeting;

    d->greeting = (struct strbuf){0};
    return greeting;
}

size_t dialog_unread(const struct dialog *d)
{
    return d->received - d->used;
}

const struct dialog_ops *dialog_current(const struct dialog *d)
{
    return d->list.items[d->index];
}

const char *dialog_detail(const struct dialog *d)
{
    return d->detail;
}

const char *dialog_obstacle(const struct dialog *d)
{
    if (d->received > d->before)
        return NULL;
    return dialog_current(d)->reason == REASON_STARTTLS
               ? "the server has sent nothing: if this port begins with TLS, as 465 and 993 do, "
                 "remove 'starttls'"
               : "the proxy has sent nothing: 'via' may name another kind of proxy, or a wrong port";
}
