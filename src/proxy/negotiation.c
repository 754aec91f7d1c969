#include "proxy/negotiation.h"

#include <stdio.h>
#include <string.h>

#include "net/endpoint.h"
#include "net/target.h"
#include "proxy/snapshot.h"

bool negotiation_begin(struct negotiation *n, const struct section *section)
{
    dialog_free(n->dialog);
    n->dialog = dialog_new(&section->dialogs);
    if (!n->dialog)
        return false;
    dialog_set_attempt(n->dialog, n->attempt);
    return true;
}

static bool is_parent(const struct negotiation *n)
{
    return dialog_current(n->dialog)->reason == REASON_VIA;
}

/* Notes a refusal by the parent proxy. Returns true if it can be asked for another server. */
static bool note_refusal(struct negotiation *n, const struct config_section *config)
{
    const size_t count = target_request_count(config);
    const struct config_target t = target_request(config, n->attempt);

    if (count > 1)
        strbuf_addf(&n->refusals, "%s%s:%u: ", n->refusals.len ? "; " : "", t.host, t.port);
    strbuf_add(&n->refusals, dialog_detail(n->dialog));
    n->attempt++;
    return n->attempt < count;
}

static enum negotiation_result take_result(struct negotiation *n, const struct section *section,
                                           enum dialog_result result)
{
    switch (result) {
    case DIALOG_MORE:
        return NEGOTIATION_MORE;
    case DIALOG_REFUSED:
        return note_refusal(n, section->config) ? NEGOTIATION_AGAIN : NEGOTIATION_FAILED;
    case DIALOG_FAILED:
        break;
    case DIALOG_DONE:
        if (dialog_unread(n->dialog) == 0) {
            n->greeting = dialog_take_greeting(n->dialog);
            dialog_free(n->dialog);
            n->dialog = NULL;
            return NEGOTIATION_DONE;
        }
        /* an injected plaintext answer (CVE-2011-0411) */
        dialog_fail(n->dialog, "the server sent more than its answer before TLS");
        break;
    }
    return NEGOTIATION_FAILED;
}

enum negotiation_result negotiation_feed(struct negotiation *n, const struct section *section,
                                         struct endpoint *conn, const uint8_t *bytes, size_t count)
{
    const enum dialog_result result = dialog_feed(n->dialog, section->config, bytes, count);
    size_t out_len;
    const uint8_t *out = dialog_output(n->dialog, &out_len);

    endpoint_write(conn, out, out_len);
    return take_result(n, section, result);
}

enum negotiation_result negotiation_end(struct negotiation *n, const struct section *section,
                                        const char *how)
{
    if (!*how)
        return take_result(n, section, dialog_end(n->dialog, section->config));
    dialog_fail(n->dialog, how);
    return NEGOTIATION_FAILED;
}

enum reason negotiation_failure(const struct negotiation *n, const struct section *section,
                                char detail[NEGOTIATION_DETAIL_SIZE])
{
    const struct dialog_ops *ops = dialog_current(n->dialog);
    const struct config_via *via = &section->config->via;
    const char *refusals = strbuf_text(&n->refusals), *why = dialog_detail(n->dialog);
    char parent[300] = "";

    if (is_parent(n) && via->host)
        snprintf(parent, sizeof(parent), " %s:%u", via->host, via->port);
    else if (is_parent(n) && via->section)
        snprintf(parent, sizeof(parent), " [%s]", via->section);
    /* the last refusal is the dialog's own text */
    if (n->attempt >= target_request_count(section->config) && *refusals)
        why = "";
    snprintf(detail, NEGOTIATION_DETAIL_SIZE, "%s%s: %s%s%s", ops->name, parent, refusals,
             *refusals && *why ? "; " : "", why);
    return ops->reason;
}

void negotiation_clear(struct negotiation *n)
{
    dialog_free(n->dialog);
    strbuf_free(&n->refusals);
    strbuf_free(&n->greeting);
    *n = (struct negotiation){0};
}

bool negotiation_is_same(const struct section *a, const struct section *b)
{
    const struct dialog_list *x = &a->dialogs, *y = &b->dialogs;

    return x->count == y->count && memcmp(x->items, y->items, x->count * sizeof(x->items[0])) == 0
           && target_is_same_server(a->config, b->config);
}
