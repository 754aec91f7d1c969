#include "pinproxyd/warnings.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/lifetime.h"
#include "base/log.h"
#include "base/print.h"
#include "base/units.h"
#include "tls/clientcert.h"
#include "tls/tlsctx.h"
#include "trust/crl.h"
#include "trust/policy.h"

/* Something that ends, as one event reports it. */
struct ending {
    const char *what;
    const char *field; /* of the end's date */
    int64_t start;     /* LIFETIME_NO_START: it has an end only */
    int64_t end;
    const char *near;  /* how the detail begins before the end */
    const char *ended; /* the detail after it */
};

static const char *const stage_names[] = {
    [LIFETIME_LAST] = "last",
    [LIFETIME_SECOND] = "second",
    [LIFETIME_FIRST] = "first",
};

static bool ending_is_near(const struct ending *e, int64_t now)
{
    return lifetime_stage(e->start, e->end, now, NULL) != LIFETIME_FAR;
}

static void ending_begin(struct log_line *l, const struct section *s, const struct ending *e)
{
    log_begin(l, LOG_LEVEL_WARNING, "pin_expiring", s->config->name);
    log_add(l, "what", e->what);
}

/* Adds the fields about the end, and writes the line. The end must be near. */
static void ending_end(struct log_line *l, const struct ending *e, int64_t now)
{
    char day[UNITS_DATE_SIZE], span[UNITS_SPAN_SIZE], text[128];
    enum lifetime_stage stage;
    int64_t within = 0;

    stage = lifetime_stage(e->start, e->end, now, &within);
    units_format_date(e->end, day);
    units_format_span(e->end - now, span);
    snprintf(text, sizeof(text), "%s ends in %s", e->near, span);
    log_add(l, e->field, day);
    log_add_number(l, "days", clock_days(e->end - now));
    /* in whole days, rounded up */
    log_add_number(l, "within", -clock_days(-within));
    log_add(l, "stage", stage_names[stage]);
    log_add(l, "detail", now < e->end ? text : e->ended);
    log_end(l);
}

/* Logs the pins that end soon, those of the configuration and those learned. */
static void log_pins(const struct section *s, int64_t now)
{
    struct policy_pins pins;
    struct log_line l;
    size_t i;

    policy_pins(s->policy, &pins);
    for (i = 0; i < pins.count; i++) {
        const struct pin *pin = policy_pins_at(&pins, i);
        const bool configured = pin->origin == PIN_CONFIGURED;
        const struct ending e = {
            .what = configured ? "pin" : "learned",
            .field = "until",
            .start = LIFETIME_NO_START,
            .end = pin->until,
            .near = "this pin",
            .ended = configured ? "this pin is no longer accepted: remove it"
                                : "this pin is no longer accepted",
        };

        /* an announced pin ends within 60 days, and is renewed daily */
        if (!pin->until || !ending_is_near(&e, now))
            continue;
        ending_begin(&l, s, &e);
        log_add(&l, "pin", pin_label(pin));
        ending_end(&l, &e, now);
    }
}

/* Logs the end of the certificate that was trusted last. After a start there is none. */
static void log_certificate(const struct section *s, int64_t now)
{
    struct cert_info info;
    struct ending e = {
        .what = "certificate",
        .field = "not_after",
        .near = "the server's certificate",
        .ended = "the server's certificate has expired",
    };
    struct log_line l;

    if (!stats_last_server(s->stats, &info))
        return;
    e.start = info.not_before;
    e.end = info.not_after;
    if (ending_is_near(&e, now)) {
        ending_begin(&l, s, &e);
        log_add(&l, "subject", info.subject);
        ending_end(&l, &e, now);
    }
    cert_info_free(&info);
}

/* Logs the revocation lists that expire soon, as they were when they were loaded. */
static void log_crls(const struct section *s, int64_t now)
{
    const struct crl_info *crls;
    struct log_line l;
    size_t count, i;

    crls = crl_list(s->policy->store, &count);
    for (i = 0; i < count; i++) {
        const struct ending e = {
            .what = "crl",
            .field = "next_update",
            .start = crls[i].this_update,
            .end = crls[i].next_update,
            .near = "the revocation list",
            .ended = "the revocation list has expired, and the certificates of its CA are refused: "
                     "replace the file and reload",
        };

        if (!ending_is_near(&e, now))
            continue;
        ending_begin(&l, s, &e);
        log_add(&l, "issuer", crls[i].issuer);
        log_add(&l, "file", crls[i].file);
        ending_end(&l, &e, now);
    }
}

/* Logs the end of the certificate that the section shows to its server. */
static void log_client_cert_end(const struct section *s, const struct clientcert *c, int64_t now)
{
    const struct ending e = {
        .what = "client_cert",
        .field = "not_after",
        .start = c->info.not_before,
        .end = c->info.not_after,
        .near = "the client certificate",
        .ended = "the client certificate has expired: replace the file and reload",
    };
    struct log_line l;

    if (!ending_is_near(&e, now))
        return;
    ending_begin(&l, s, &e);
    log_add(&l, "subject", c->info.subject);
    ending_end(&l, &e, now);
}

static void log_client_cert(const struct section *s, int64_t now)
{
    const struct clientcert *c = tlsctx_client_cert(s->ctx);
    struct log_line l;
    size_t i;

    if (!c)
        return;
    log_client_cert_end(s, c, now);
    for (i = 0; i < c->warning_count; i++) {
        log_begin(&l, LOG_LEVEL_WARNING, "client_cert", s->config->name);
        log_add(&l, "detail", c->warnings[i]);
        log_end(&l);
    }
}

static void print_client_cert(const struct section *s, FILE *to)
{
    const struct clientcert *c = tlsctx_client_cert(s->ctx);
    size_t i;

    for (i = 0; c && i < c->warning_count; i++)
        print_line(to, "warning: [%s]: %s", s->config->name, c->warnings[i]);
}

static void log_report_mode(const struct section *s, int64_t now)
{
    char day[UNITS_DATE_SIZE];
    struct log_line l;

    if (!config_is_reporting(s->config, now))
        return;
    log_begin(&l, LOG_LEVEL_WARNING, "report_mode", s->config->name);
    if (s->config->enforce.until) {
        units_format_date(s->config->enforce.until, day);
        log_add(&l, "until", day);
    }
    log_add(&l, "detail", "a server whose pin does not match is accepted");
    log_end(&l);
}

/*
 * Returns true if a section permits a slow key exchange, with *text set to what is wrong and what to
 * do.
 */
static bool has_slow_key_exchange(const struct section *s, char *text, size_t size)
{
    const char *offered = tlsctx_finite_field(s->ctx, &s->config->tls);

    if (!offered)
        return false;
    snprintf(
        text, size,
        "the section offers %s: with finite-field Diffie-Hellman a server can take many times "
        "the CPU time of X25519 before it has proved its key; remove ffdhe groups and DHE ciphers",
        offered);
    return true;
}

static void log_slow_key_exchange(const struct section *s)
{
    char text[256];
    struct log_line l;

    if (!has_slow_key_exchange(s, text, sizeof(text)))
        return;
    log_begin(&l, LOG_LEVEL_WARNING, "slow_key_exchange", s->config->name);
    log_add(&l, "detail", text);
    log_end(&l);
}

void warnings_print(const struct snapshot *s, FILE *to)
{
    char text[256];
    size_t i;

    for (i = 0; i < s->count; i++) {
        if (has_slow_key_exchange(&s->sections[i], text, sizeof(text)))
            print_line(to, "warning: [%s]: %s", s->sections[i].config->name, text);
        print_client_cert(&s->sections[i], to);
    }
}

void warnings_log(const struct snapshot *s, int64_t now)
{
    size_t i;

    for (i = 0; i < s->count; i++) {
        log_pins(&s->sections[i], now);
        log_certificate(&s->sections[i], now);
        log_crls(&s->sections[i], now);
        log_client_cert(&s->sections[i], now);
        log_report_mode(&s->sections[i], now);
        log_slow_key_exchange(&s->sections[i]);
    }
}
