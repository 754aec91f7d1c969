#include "config/canonical.h"

#include <stdint.h>
#include <string.h>

#include "config/section.h"

/* Eight bytes for each number: always the same length. */
static void add_number(int64_t number, struct strbuf *out)
{
    strbuf_add_bytes(out, (const char *)&number, sizeof(number));
}

void canonical_bytes(const void *bytes, size_t n, struct strbuf *out)
{
    add_number((int64_t)n, out);
    strbuf_add_bytes(out, bytes, n);
}

static void add_text(const char *text, struct strbuf *out)
{
    if (text)
        canonical_bytes(text, strlen(text), out);
    else
        add_number(-1, out);
}

void canonical_bool(const void *field, struct strbuf *out)
{
    add_number(*(const bool *)field, out);
}

void canonical_int(const void *field, struct strbuf *out)
{
    add_number(*(const int *)field, out);
}

void canonical_unsigned(const void *field, struct strbuf *out)
{
    add_number(*(const unsigned *)field, out);
}

void canonical_long(const void *field, struct strbuf *out)
{
    add_number(*(const long *)field, out);
}

void canonical_int64(const void *field, struct strbuf *out)
{
    add_number(*(const int64_t *)field, out);
}

void canonical_text(const void *field, struct strbuf *out)
{
    add_text(*(const char *const *)field, out);
}

void canonical_string(const void *field, struct strbuf *out)
{
    const struct config_string *string = field;

    add_text(string->text, out);
}

void canonical_strings(const void *field, struct strbuf *out)
{
    const struct config_strings *list = field;
    size_t i;

    add_number((int64_t)list->count, out);
    for (i = 0; i < list->count; i++)
        add_text(list->items[i].text, out);
}

void canonical_enforce(const void *field, struct strbuf *out)
{
    const struct config_enforce *enforce = field;

    add_number(enforce->report, out);
    add_number(enforce->until, out);
}

void canonical_addr(const void *field, struct strbuf *out)
{
    const struct addr *addr = field;
    char text[ADDR_TEXT_SIZE];

    add_text(addr->len ? addr_format(addr, text) : NULL, out);
}

void canonical_targets(const void *field, struct strbuf *out)
{
    const struct config_targets *list = field;
    size_t i;

    add_number((int64_t)list->count, out);
    for (i = 0; i < list->count; i++) {
        add_text(list->items[i].host, out);
        add_number(list->items[i].port, out);
    }
}

void canonical_listens(const void *field, struct strbuf *out)
{
    const struct config_listens *list = field;
    size_t i;

    add_number((int64_t)list->count, out);
    for (i = 0; i < list->count; i++) {
        canonical_addr(&list->items[i].addr, out);
        add_number(list->items[i].mode, out);
        add_text(list->items[i].user, out);
        add_text(list->items[i].group, out);
    }
}

/* The text of the value makes no difference, because it has no password. */
void canonical_via(const void *field, struct strbuf *out)
{
    const struct config_via *via = field;
    const char *const *arg;

    add_number(via->scheme, out);
    add_text(via->host, out);
    add_number(via->port, out);
    add_text(via->user, out);
    add_text(via->password, out);
    add_text(via->path, out);
    add_number(via->cid, out);
    add_number(via->vsock_port, out);
    add_number(via->baud, out);
    add_text(via->section, out);
    for (arg = via->argv; arg && *arg; arg++)
        add_text(*arg, out);
    add_text(NULL, out);
}

/*
 * The name of a pin is for logs alone. The certificate from a pin's file makes a difference: with
 * it, a server need not send the certificate of a pinned issuer. Its bytes need not be added,
 * because pin->digest is their digest.
 */
void canonical_pins(const void *field, struct strbuf *out)
{
    const struct pin_list *list = field;
    size_t i;

    add_number((int64_t)list->count, out);
    for (i = 0; i < list->count; i++) {
        const struct pin *pin = &list->items[i];

        add_number(pin->role, out);
        add_number(pin->kind, out);
        canonical_bytes(pin->digest, CERT_DIGEST_SIZE, out);
        add_number(pin->role == PIN_ISSUER && pin->der, out);
        add_number(pin->until, out);
    }
}
