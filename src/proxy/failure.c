#include "proxy/failure.h"

#include <stdlib.h>
#include <time.h>

#include "base/strbuf.h"
#include "base/units.h"

/* Names of the pins that would have been accepted. */
static void add_expected(struct log_line *l, const struct config_section *s)
{
    struct strbuf names = {0};
    size_t i;

    for (i = 0; i < s->pins.count; i++)
        strbuf_addf(&names, "%s%s", i ? " " : "", pin_label(&s->pins.items[i]));
    log_add(l, "expected", strbuf_text(&names));
    strbuf_clear(&names);
    /* of pins given as certificate files: whose certificate was expected */
    for (i = 0; i < s->pins.count; i++)
        if (s->pins.items[i].subject)
            strbuf_addf(&names, "%s%s", names.len ? "; " : "", s->pins.items[i].subject);
    log_add(l, "expected_subject", strbuf_text(&names));
    strbuf_free(&names);
}

static void add_presented(struct log_line *l, const struct trust_verdict *v)
{
    struct cert_info info;
    char day[UNITS_DATE_SIZE], *pins;

    if (trust_chain_length(v) == 0)
        return;
    if (trust_chain_describe(v, 0, &info)) {
        units_format_date(info.not_after, day);
        log_add(l, "subject", info.subject);
        log_add(l, "issuer", info.issuer);
        log_add(l, "not_after", day);
    }
    cert_info_free(&info);
    pins = trust_chain_pins(v);
    log_add(l, "presented", pins);
    free(pins);
}

void failure_log(const struct upstream *u, enum reason reason, const char *detail,
                 const char *client)
{
    const enum reason_kind kind = reason_kind(reason);
    char name[UPSTREAM_NAME_SIZE], *pki;
    struct log_line l;

    if (kind == REASON_KIND_END)
        return;
    log_begin(&l, reason_level(reason), reason_event(reason), u->section->config->name);
    if (!l.wanted)
        return;
    if (kind == REASON_KIND_LIMIT)
        log_add(&l, "what", reason_name(reason));
    else if (kind != REASON_KIND_MISMATCH && kind != REASON_KIND_TRUNCATED)
        log_add(&l, "reason", reason_name(reason));
    log_add(&l, "detail", detail && *detail ? detail : reason_text(reason));
    log_add(&l, "client", client);
    log_add(&l, "upstream", upstream_name(u, name));
    if (u->tls && reason_is_trust(reason)) {
        add_presented(&l, tls_verdict(u->tls));
        if (kind == REASON_KIND_MISMATCH) {
            add_expected(&l, u->section->config);
            pki = trust_chain_pki(u->section->trust, tls_verdict(u->tls), (int64_t)time(NULL));
            log_add(&l, "pki", pki);
            free(pki);
        }
    }
    log_end(&l);
}
