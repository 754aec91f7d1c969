#include "pinproxy/findings.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/lifetime.h"
#include "base/units.h"
#include "pin/pin.h"
#include "pinproxy/renewal.h"
#include "pinproxy/report.h"
#include "tls/clientcert.h"
#include "tls/tlsctx.h"
#include "trust/crl.h"
#include "trust/policy.h"

#define WARN_DAYS 14
#define WARN_SHARE 3 /* a third of the life */

static const char *const level_names[] = {
    [FINDING_OK] = "ok",
    [FINDING_WARNING] = "warning",
    [FINDING_CRITICAL] = "critical",
    [FINDING_UNKNOWN] = "unknown",
};

const char *finding_level_name(enum finding_level level)
{
    return level_names[level];
}

enum finding_level finding_level_worse(enum finding_level a, enum finding_level b)
{
    static const int weight[] = {
        [FINDING_OK] = 0, [FINDING_WARNING] = 1, [FINDING_UNKNOWN] = 2, [FINDING_CRITICAL] = 3};

    return weight[a] >= weight[b] ? a : b;
}

static void findings_add(struct findings *f, enum finding_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void findings_add(struct findings *f, enum finding_level level, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    json_array_append_new(f->messages, report_json_text(format, ap));
    va_end(ap);
    f->level = finding_level_worse(f->level, level);
}

/* An administrator who sets the days means them, however short a life is. */
static bool ends_soon(const struct findings *f, int64_t start, int64_t end)
{
    const int64_t limit = f->warn_days == FINDINGS_WARN_DEFAULT
                              ? lifetime_limit(start, end, WARN_DAYS, WARN_SHARE)
                              : f->warn_days * DAY_SECONDS;

    return end <= f->now || end - f->now < limit;
}

/* Pins. */

/*
 * Returns true if a pin that is written as the server's own is that of a CA, as the files of the
 * configuration or the certificates that the server sent show. No server ever proves that it holds
 * such a key, so it is no backup.
 */
static bool is_of_ca(const struct findings *f, const struct pin *pin)
{
    const struct probe *p = f->probe;
    size_t i;

    if (pin->role != PIN_SERVER)
        return false;
    for (i = 0; p && i < p->chain_count; i++) {
        const struct cert_info *c = &p->chain[i];

        if (pin_matches(pin, PIN_SERVER, &c->digests) && (i == 0 || c->is_ca))
            return i > 0;
    }
    return pin_is_of_ca(&f->section->config->pins, pin);
}

/* Checks what a live pin is of. Returns true if a server can match it. */
static bool check_choice(struct findings *f, const struct pin *pin)
{
    const bool of_ca = is_of_ca(f, pin);
    char text[TRUST_DETAIL_SIZE];

    if (of_ca) {
        pin_describe_misplaced(pin, NULL, text, sizeof(text));
        findings_add(f, FINDING_WARNING, "%s", text);
    }
    if (pin->role == PIN_ISSUER && pin->kind == PIN_KEY)
        findings_add(f, FINDING_OK,
                     "pin %s binds only the key of the CA: its dates, name constraints and path "
                     "length are those of any certificate that is sent with that key; "
                     "issuer-cert:FILE binds them too",
                     pin_label(pin));
    return !of_ca;
}

/* Checks a pin of the configuration. Returns true if a server can match it. */
static bool check_pin(struct findings *f, const struct pin *pin)
{
    char day[UNITS_DATE_SIZE], span[UNITS_SPAN_SIZE];
    bool usable;

    units_format_date(pin->until, day);
    if (pin_is_expired(pin, f->now)) {
        findings_add(f, FINDING_WARNING, "pin %s ended on %s: remove it", pin_label(pin), day);
        return false;
    }
    if (pin->kind == PIN_KEY && policy_is_revoked(f->section->config, pin->digest)) {
        findings_add(f, FINDING_WARNING, "pin %s is revoked: remove it", pin_label(pin));
        return false;
    }
    usable = check_choice(f, pin);
    if (pin->until && ends_soon(f, LIFETIME_NO_START, pin->until)) {
        units_format_span(pin->until - f->now, span);
        findings_add(f, FINDING_WARNING, "pin %s ends on %s, in %s", pin_label(pin), day, span);
    }
    return usable;
}

/* Warns that a section has no backup of its only live pin, in words that fit that pin. */
static void warn_of_only_pin(struct findings *f, const struct pin *pin)
{
    const char *text = "only one pin: the next key of the server is unknown, so a renewal with a "
                       "new key is an outage; add the pin of the next key";

    if (pin->role == PIN_ISSUER)
        text = "only one pin: if the server changes to another CA, or the CA to another key, that "
               "is an outage; add the pin of a second CA";
    else if (pin->kind == PIN_CERT)
        text = "only one pin: the renewal of the certificate is an outage; add a pin of the next "
               "certificate or of its key";
    findings_add(f, FINDING_WARNING, "%s", text);
}

/* Checks the pins of a section. This needs no connection. */
static void check_pins(struct findings *f)
{
    const struct config_section *s = f->section->config;
    const struct pin *only = NULL;
    struct policy_pins pins;
    size_t usable = 0, i;

    policy_pins(f->section->policy, &pins);
    for (i = 0; i < s->pins.count; i++)
        if (check_pin(f, &s->pins.items[i])) {
            only = &s->pins.items[i];
            usable++;
        }
    if (config_is_reporting(s, f->now))
        findings_add(f, FINDING_WARNING,
                     "enforce = report: a server whose pin does not match is ACCEPTED%s",
                     s->enforce.until ? "" : ", without an end");
    if (s->verify == VERIFY_PKI || config_uses_tofu(s))
        return;
    /* a host may announce the key of its CA as well (RFC 7469), which is no server's key here */
    for (i = s->pins.count; i < pins.count; i++) {
        const struct pin *pin = policy_pins_at(&pins, i);

        if (!pin_is_expired(pin, f->now) && check_choice(f, pin)) {
            only = pin;
            usable++;
        }
    }
    if (usable == 0)
        findings_add(f, FINDING_CRITICAL,
                     "no pin is left that a server can match: every server is refused");
    else if (usable == 1)
        warn_of_only_pin(f, only);
}

/* Revocation lists. */

static void check_crls(struct findings *f)
{
    char day[UNITS_DATE_SIZE], span[UNITS_SPAN_SIZE];
    const struct crl_info *crls;
    size_t count, i;

    crls = crl_list(f->section->policy->store, &count);
    for (i = 0; i < count; i++) {
        const struct crl_info *c = &crls[i];

        if (!ends_soon(f, c->this_update, c->next_update))
            continue;
        units_format_date(c->next_update, day);
        units_format_span(c->next_update - f->now, span);
        if (c->next_update <= f->now)
            findings_add(f, FINDING_WARNING,
                         "the revocation list of %s in %s expired on %s, %s ago, and the "
                         "certificates of this CA are refused: get the next list",
                         c->issuer, c->file, day, span);
        else
            findings_add(f, FINDING_WARNING,
                         "the revocation list of %s in %s expires on %s, in %s: get the next list",
                         c->issuer, c->file, day, span);
    }
}

/* The client certificate. */

static void check_client_cert(struct findings *f)
{
    const struct clientcert *c = tlsctx_client_cert(f->section->ctx);
    char day[UNITS_DATE_SIZE], span[UNITS_SPAN_SIZE];
    size_t i;

    if (!c)
        return;
    units_format_date(c->info.not_after, day);
    units_format_span(c->info.not_after - f->now, span);
    findings_add(f,
                 ends_soon(f, c->info.not_before, c->info.not_after) ? FINDING_WARNING : FINDING_OK,
                 c->info.not_after <= f->now ? "the client certificate expired on %s, %s ago"
                                             : "the client certificate is valid until %s, %s",
                 day, span);
    for (i = 0; i < c->warning_count; i++)
        findings_add(f, FINDING_WARNING, "%s", c->warnings[i]);
}

/* The server. */

/*
 * Warns if the pin in use is one that the host announced. It is removed with the pin of the
 * configuration that it depends on. A key of a first use is not a reason to warn: nobody removes it
 * by mistake.
 */
static void check_announced(struct findings *f)
{
    const struct pin *pin = f->probe->pin;

    if (pin->via)
        findings_add(f, FINDING_WARNING,
                     "the pin in use is one that the host announced: it depends on pin %s, and "
                     "both are removed together. Before you remove or replace that one, add to "
                     "[%s]: pin = %s",
                     pin_label(pin->via), f->section->config->name, pin->text);
}

/* Reports the pins before and behind the one that matched: they are in the order of their use. */
static void check_backups(struct findings *f)
{
    const struct pin_list *pins = &f->section->config->pins;
    const struct pin *used = f->probe->pin;
    bool passed = false;
    size_t i;

    for (i = 0; i < pins->count; i++) {
        const struct pin *pin = &pins->items[i];

        passed = passed || pin == used;
        if (pin == used || pin->role != used->role || pin_is_expired(pin, f->now)
            || is_of_ca(f, pin))
            continue;
        if (passed)
            findings_add(f, FINDING_OK, "backup pin %s: not seen yet", pin_label(pin));
        else
            findings_add(f, FINDING_OK, "the server already uses %s: pin %s can be removed",
                         pin_label(used), pin_label(pin));
    }
}

static void check_match(struct findings *f)
{
    const struct pin *pin = f->probe->pin;
    const bool learned = pin == &f->probe->learned;
    char day[UNITS_DATE_SIZE], span[UNITS_SPAN_SIZE];

    findings_add(f, FINDING_OK, "pin %s matches%s", pin_label(pin),
                 learned ? ", which was learned" : "");
    if (pin->until) {
        units_format_date(pin->until, day);
        units_format_span(pin->until - f->now, span);
        findings_add(f, ends_soon(f, LIFETIME_NO_START, pin->until) ? FINDING_WARNING : FINDING_OK,
                     "pin %s is valid until %s, %s", pin_label(pin), day, span);
    }
    check_announced(f);
    if (!learned)
        check_backups(f);
}

static void report_presented(struct findings *f, const struct cert_info *leaf)
{
    char key[PIN_KEY_TEXT_SIZE];

    pin_format_key(leaf->digests.key, key);
    if (leaf->digests.is_raw_key)
        findings_add(f, FINDING_OK, "presented: a raw public key, without a certificate");
    else
        findings_add(f, FINDING_OK, "presented: %s, issued by %s", leaf->subject, leaf->issuer);
    findings_add(f, FINDING_OK, "presented: %s", key);
}

static void check_refused(struct findings *f)
{
    const struct probe *p = f->probe;

    /* the server was reached, and every tunnel to it fails */
    const bool critical = reason_is_trust(p->reason) || p->reason == REASON_CLIENT_CERT;

    findings_add(f, critical ? FINDING_CRITICAL : FINDING_UNKNOWN, "%s: %s%s%s",
                 reason_name(p->reason), reason_text(p->reason), *p->detail ? ": " : "", p->detail);
    if (p->chain_count == 0 || !reason_is_trust(p->reason))
        return;
    report_presented(f, &p->chain[0]);
    findings_add(f, FINDING_OK, "the result of the PKI: %s", p->pki);
    if (p->reason == REASON_PKI && policy_wants_staple(p->section->policy)
        && !p->chain[0].has_responder)
        findings_add(f, FINDING_CRITICAL,
                     "ocsp = staple can never succeed with this certificate, which names no OCSP "
                     "responder (nor do those of Let's Encrypt): use crl_file, or ocsp = off");
}

/* Reports what an accepted server says to the client certificate, or to its absence. */
static void check_client_answer(struct findings *f)
{
    const bool has_cert = tlsctx_client_cert(f->section->ctx) != NULL;

    if (f->probe->asks && has_cert)
        findings_add(f, FINDING_OK, "the server accepts the client certificate");
    else if (f->probe->asks)
        findings_add(f, FINDING_OK,
                     "the server asks for a client certificate, and accepts a client without one");
    else if (has_cert)
        findings_add(f, FINDING_OK, "the server does not ask for the client certificate");
}

static void check_certificate(struct findings *f, const struct cert_info *leaf)
{
    const bool soon = ends_soon(f, leaf->not_before, leaf->not_after);
    char day[UNITS_DATE_SIZE], span[UNITS_SPAN_SIZE];

    units_format_date(leaf->not_after, day);
    units_format_span(leaf->not_after - f->now, span);
    findings_add(f, soon ? FINDING_WARNING : FINDING_OK,
                 leaf->not_after <= f->now ? "the server's certificate expired on %s, %s ago"
                                           : "the server's certificate is valid until %s, %s",
                 day, span);
}

static void check_accepted(struct findings *f)
{
    const struct probe *p = f->probe;
    const struct cert_info *leaf = &p->chain[0];
    char key[PIN_KEY_TEXT_SIZE];

    if (p->pin)
        check_match(f);
    if (p->reported != REASON_OK) {
        pin_format_key(leaf->digests.key, key);
        findings_add(f, FINDING_WARNING, "%s, which is only reported: presented %s",
                     reason_text(p->reported), key);
    }
    if (leaf->digests.is_raw_key)
        findings_add(f, FINDING_OK, "the server presents a raw public key, which has no end");
    else
        check_certificate(f, leaf);
    check_client_answer(f);
}

static void check_server(struct findings *f)
{
    const struct probe *p = f->probe;

    if (p->reason == REASON_OK) {
        check_accepted(f);
    } else if (p->reason == REASON_FIRST_USE && p->chain_count) {
        findings_add(f, FINDING_WARNING,
                     "no key is stored yet: the first connection stores the key that it then sees");
        report_presented(f, &p->chain[0]);
    } else {
        check_refused(f);
    }
}

void findings_collect(struct findings *f)
{
    f->level = FINDING_OK;
    f->messages = json_array();
    f->renewal = NULL;
    if (section_is_denied(f->section)) {
        /* so that it is unknown which servers the daemon accepts */
        findings_add(f, FINDING_UNKNOWN,
                     "unknown: %s/learned may not be read, run as root or as the daemon's user",
                     f->state_dir);
        return;
    }
    if (f->probe)
        check_server(f);
    check_pins(f);
    check_crls(f);
    check_client_cert(f);
    f->renewal = renewal_of_section(f->section, f->probe, f->now);
}

static json_t *crls_json(const struct findings *f)
{
    json_t *all = json_array();
    const struct crl_info *crls;
    size_t count, i;

    crls = crl_list(f->section->policy->store, &count);
    for (i = 0; i < count; i++)
        json_array_append_new(all, report_crl_json(&crls[i]));
    return all;
}

json_t *findings_json(const struct findings *f)
{
    char *name = report_safe(f->section->config->name);
    json_t *o = json_pack("{s:s, s:s, s:O}", "section", name, "status",
                          finding_level_name(f->level), "messages", f->messages);

    free(name);
    if (f->renewal)
        json_object_set(o, "renewal", f->renewal);
    if (f->section->config->crl_file.count)
        json_object_set_new(o, "crls", crls_json(f));
    if (!f->probe)
        return o;
    json_object_set_new(o, "reason", json_string(reason_name(f->probe->reason)));
    json_object_set_new(o, "upstream", json_string(f->probe->upstream));
    if (f->probe->pin)
        json_object_set_new(o, "pin", json_string(pin_label(f->probe->pin)));
    if (f->probe->chain_count)
        json_object_set_new(o, "certificate", report_cert_json(0, &f->probe->chain[0]));
    if (f->probe->pki)
        json_object_set_new(o, "pki", json_string(f->probe->pki));
    return o;
}

void findings_clear(struct findings *f)
{
    json_decref(f->messages);
    json_decref(f->renewal);
    f->messages = f->renewal = NULL;
}
