#include "proxy/connlog.h"

#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "base/units.h"
#include "trust/peerchain.h"

static void add_client(struct log_line *l, const struct addr *client)
{
    char text[ADDR_TEXT_SIZE];

    if (client)
        log_add(l, "client", addr_format(client, text));
}

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

    if (peerchain_length(v) == 0)
        return;
    if (peerchain_describe(v, 0, &info)) {
        units_format_date(info.not_after, day);
        log_add(l, "subject", info.subject);
        log_add(l, "issuer", info.issuer);
        log_add(l, "not_after", day);
    }
    cert_info_free(&info);
    pins = peerchain_pins(v);
    log_add(l, "presented", pins);
    free(pins);
}

/* The keys that were kept before, and may not have been changed. */
static void add_learned(struct log_line *l, const struct policy *p)
{
    struct learned_key keys[LEARNED_KEYS_MAX];
    size_t n = policy_learned_keys(p, keys), i;
    struct strbuf pins = {0};
    char pin[PIN_KEY_TEXT_SIZE];

    for (i = 0; i < n; i++) {
        pin_format_key(keys[i].digest, pin);
        strbuf_addf(&pins, "%s%s", i ? " " : "", pin);
    }
    log_add(l, "learned", strbuf_text(&pins));
    strbuf_free(&pins);
}

/* What tells a renewal from an attack. */
static void add_comparison(struct log_line *l, const struct upstream *u)
{
    char *pki;

    add_expected(l, u->section->config);
    add_learned(l, u->section->policy);
    pki = peerchain_pki(u->section->policy, tls_verdict(u->tls), clock_now());
    log_add(l, "pki", pki);
    free(pki);
}

/* True when it is a matter of which pins were expected. */
static bool is_about_pins(enum reason reason)
{
    return reason_kind(reason) == REASON_KIND_MISMATCH || reason == REASON_TOFU_CHANGED;
}

static void add_all(struct log_line *l, const struct upstream *u, enum reason reason,
                    const char *detail, const struct addr *client)
{
    const enum reason_kind kind = reason_kind(reason);
    char name[UPSTREAM_NAME_SIZE];

    if (kind == REASON_KIND_LIMIT)
        log_add(l, "what", reason_name(reason));
    else if (kind != REASON_KIND_MISMATCH && kind != REASON_KIND_TRUNCATED)
        log_add(l, "reason", reason_name(reason));
    log_add(l, "detail", detail && *detail ? detail : reason_text(reason));
    add_client(l, client);
    log_add(l, "upstream", upstream_name(u, name));
    if (!u->tls || !reason_is_trust(reason))
        return;
    add_presented(l, tls_verdict(u->tls));
    if (is_about_pins(reason))
        add_comparison(l, u);
}

void connlog_failed(const struct upstream *u, enum reason reason, const char *detail,
                    const struct addr *client)
{
    struct log_line l;

    if (reason_kind(reason) == REASON_KIND_END)
        return;
    log_begin(&l, reason_level(reason), reason_event(reason), u->section->config->name);
    if (!l.wanted)
        return;
    add_all(&l, u, reason, detail, client);
    log_end(&l);
}

/* The same event, with enforce=report, of what was let through. */
static void log_reported(const struct upstream *u, const struct addr *client)
{
    const struct trust_verdict *v = tls_verdict(u->tls);
    struct log_line l;

    if (v->reported == REASON_OK)
        return;
    stats_add(&u->section->stats->mismatches, 1);
    log_begin(&l, reason_level(v->reported), reason_event(v->reported), u->section->config->name);
    if (!l.wanted)
        return;
    log_add(&l, "enforce", "report");
    add_all(&l, u, v->reported, v->detail, client);
    log_end(&l);
}

static void count_opened(const struct upstream *u)
{
    const struct trust_verdict *v = tls_verdict(u->tls);

    stats_opened(u->section->stats, v->pin ? pin_label(v->pin) : "", peerchain_leaf(v));
}

void connlog_opened(const struct upstream *u, const struct addr *client, int64_t ms)
{
    const struct trust_verdict *v = tls_verdict(u->tls);
    char name[UPSTREAM_NAME_SIZE];
    struct log_line l;

    log_reported(u, client);
    count_opened(u);
    log_begin(&l, LOG_LEVEL_INFO, "tunnel_open", u->section->config->name);
    if (!l.wanted)
        return;
    add_client(&l, client);
    log_add(&l, "upstream", upstream_name(u, name));
    log_add(&l, "tls", tls_version(u->tls));
    log_add(&l, "cipher", tls_cipher(u->tls));
    log_add(&l, "pin", v->pin ? pin_label(v->pin) : "");
    log_add(&l, "resumed", tls_is_resumed(u->tls) ? "yes" : "no");
    log_add_number(&l, "ms", ms);
    log_end(&l);
}

void connlog_closed(const struct upstream *u, enum reason reason, const char *detail,
                    const struct addr *client, const struct connlog_totals *totals)
{
    struct log_line l;

    log_begin(&l, LOG_LEVEL_INFO, "tunnel_close", u->section->config->name);
    if (!l.wanted)
        return;
    add_client(&l, client);
    log_add_number(&l, "sent", (int64_t)totals->sent);
    log_add_number(&l, "received", (int64_t)totals->received);
    log_add_number(&l, "ms", totals->ms);
    log_add(&l, "reason", reason_name(reason));
    if (reason_kind(reason) == REASON_KIND_END)
        log_add(&l, "detail", detail);
    log_end(&l);
}
