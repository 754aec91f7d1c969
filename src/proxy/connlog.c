#include "proxy/connlog.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "base/units.h"
#include "trust/peerchain.h"
#include "trust/policy.h"

static void add_client(struct log_line *l, const struct addr *client)
{
    char text[ADDR_TEXT_SIZE];

    if (client)
        log_add(l, "client", addr_format(client, text));
}

static void add_to_list(struct strbuf *list, const char *separator, const char *text)
{
    strbuf_addf(list, "%s%s", list->len ? separator : "", text);
}

/* Shows the pins that would have been accepted: those of the configuration, and those learned. */
static void add_expected(struct log_line *l, const struct policy *p)
{
    struct strbuf expected = {0}, subjects = {0}, learned = {0};
    struct policy_pins pins;
    size_t i;

    policy_pins(p, &pins);
    for (i = 0; i < pins.count; i++) {
        const struct pin *pin = policy_pins_at(&pins, i);

        add_to_list(pin->origin == PIN_CONFIGURED ? &expected : &learned, " ", pin_label(pin));
        /* for pins given as certificate files, the subjects of the expected certificates */
        if (pin->subject)
            add_to_list(&subjects, "; ", pin->subject);
    }
    log_add(l, "expected", strbuf_text(&expected));
    log_add(l, "expected_subject", strbuf_text(&subjects));
    log_add(l, "learned", strbuf_text(&learned));
    strbuf_free(&expected);
    strbuf_free(&subjects);
    strbuf_free(&learned);
}

static void add_presented(struct log_line *l, const struct trust_verdict *v)
{
    struct cert_info info;
    char day[UNITS_DATE_SIZE], *pins;

    if (peerchain_length(v) == 0)
        return;
    if (peerchain_describe(v, 0, &info) && !info.digests.is_raw_key) {
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

/* Shows what distinguishes a renewal from an attack. */
static void add_comparison(struct log_line *l, const struct connlog *c)
{
    char *pki;

    add_expected(l, c->section->policy);
    pki = peerchain_pki(c->section->policy, tls_verdict(c->tls), clock_now());
    log_add(l, "pki", pki);
    free(pki);
}

/* Returns true if the reason is about the pins that were expected. */
static bool is_about_pins(enum reason reason)
{
    return reason_kind(reason) == REASON_KIND_MISMATCH || reason == REASON_TOFU_CHANGED;
}

static void add_upstream(struct log_line *l, const struct connlog *c)
{
    char name[SECTION_UPSTREAM_SIZE];

    if (c->section)
        log_add(l, "upstream", section_upstream(c->section, c->peer, name));
}

static void add_limit(struct log_line *l, enum reason what, const char *detail)
{
    log_add(l, "what", reason_name(what));
    log_add(l, "detail", detail && *detail ? detail : reason_text(what));
}

static void add_failure(struct log_line *l, const struct connlog *c, enum reason reason,
                        const char *detail)
{
    const enum reason_kind kind = reason_kind(reason);

    if (kind == REASON_KIND_LIMIT) {
        add_limit(l, reason, detail);
    } else {
        if (kind != REASON_KIND_MISMATCH && kind != REASON_KIND_TRUNCATED)
            log_add(l, "reason", reason_name(reason));
        log_add(l, "detail", detail && *detail ? detail : reason_text(reason));
    }
    add_client(l, c->client);
    add_upstream(l, c);
    if (!c->tls || !reason_is_trust(reason))
        return;
    add_presented(l, tls_verdict(c->tls));
    if (is_about_pins(reason))
        add_comparison(l, c);
}

void connlog_failed(const struct connlog *c, enum reason reason, const char *detail)
{
    struct log_line l;

    if (reason_kind(reason) == REASON_KIND_END)
        return;
    log_begin(&l, reason_level(reason), reason_event(reason), c->name);
    if (!l.wanted)
        return;
    add_failure(&l, c, reason, detail);
    log_end(&l);
}

/* Logs the same event for what enforce = report has accepted. */
static void log_reported(const struct connlog *c)
{
    const struct trust_verdict *v = tls_verdict(c->tls);
    struct log_line l;

    if (v->reported == REASON_OK)
        return;
    log_begin(&l, reason_level(v->reported), reason_event(v->reported), c->name);
    if (!l.wanted)
        return;
    log_add(&l, "enforce", "report");
    add_failure(&l, c, v->reported, v->detail);
    log_end(&l);
}

void connlog_opened(const struct connlog *c, int64_t ms)
{
    const struct trust_verdict *v = tls_verdict(c->tls);
    struct log_line l;

    log_reported(c);
    log_begin(&l, LOG_LEVEL_INFO, "tunnel_open", c->name);
    if (!l.wanted)
        return;
    add_client(&l, c->client);
    add_upstream(&l, c);
    log_add(&l, "tls", tls_version(c->tls));
    log_add(&l, "cipher", tls_cipher(c->tls));
    log_add(&l, "group", tls_group(c->tls));
    log_add(&l, "pin", v->pin ? pin_label(v->pin) : "");
    log_add(&l, "resumed", tls_is_resumed(c->tls) ? "yes" : "no");
    log_add_number(&l, "ms", ms);
    log_end(&l);
}

static void log_closed(const struct connlog *c, enum reason reason, const char *detail,
                       const struct connlog_totals *totals)
{
    struct log_line l;

    log_begin(&l, LOG_LEVEL_INFO, "tunnel_close", c->name);
    if (!l.wanted)
        return;
    add_client(&l, c->client);
    log_add_number(&l, "sent", (int64_t)totals->sent);
    log_add_number(&l, "received", (int64_t)totals->received);
    log_add_number(&l, "ms", totals->ms);
    log_add(&l, "reason", reason_name(reason));
    if (reason_kind(reason) == REASON_KIND_END)
        log_add(&l, "detail", detail);
    log_end(&l);
}

void connlog_ended(const struct connlog *c, bool opened, enum reason reason, const char *detail,
                   const struct connlog_totals *totals)
{
    connlog_failed(c, reason, detail);
    if (opened || reason_kind(reason) == REASON_KIND_END)
        log_closed(c, reason, detail, totals);
}

void connlog_limit(const char *name, enum reason what, const char *detail)
{
    struct log_line l;

    log_begin(&l, reason_level(what), reason_event(what), name);
    add_limit(&l, what, detail);
    log_end(&l);
}

void connlog_learned(const char *name, const uint8_t digest[CERT_DIGEST_SIZE],
                     enum learned_origin origin, const char *hostport, int64_t until)
{
    char pin[PIN_KEY_TEXT_SIZE], day[UNITS_DATE_SIZE] = "";
    struct log_line l;

    pin_format_key(digest, pin);
    if (until)
        units_format_date(until, day);
    log_begin(&l, LOG_LEVEL_NOTICE, "learned", name);
    log_add(&l, "pin", pin);
    log_add(&l, "from", learnedkey_origin(origin));
    log_add(&l, "place", hostport);
    log_add(&l, "until", day);
    log_end(&l);
}
