#include "pinproxyd/expiry.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/print.h"
#include "base/units.h"
#include "base/util.h"
#include "tls/tlsctx.h"
#include "trust/policy.h"

/* How many days ahead, and when it becomes urgent. */
static const long stages[] = {1, 7, 30};

/* The stage that an end has come to: 1, 7 or 30; 0: it is far off. */
static long stage_of(int64_t end, int64_t now)
{
    size_t i;

    for (i = 0; i < COUNT_OF(stages); i++)
        if (end - now < stages[i] * DAY_SECONDS)
            return stages[i];
    return 0;
}

/* The fields that follow, and the end of the line. */
static void log_end_on(struct log_line *l, const char *field, int64_t end, int64_t now,
                       const char *over)
{
    char day[UNITS_DATE_SIZE];

    units_format_date(end, day);
    log_add(l, field, day);
    log_add_number(l, "days", clock_days(end - now));
    log_add_number(l, "within", stage_of(end, now));
    log_add(l, "detail", end <= now ? over : "");
    log_end(l);
}

static void begin(struct log_line *l, const struct section *s, const char *what)
{
    log_begin(l, LOG_LEVEL_WARNING, "pin_expiring", s->config->name);
    log_add(l, "what", what);
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

        /* an announced pin ends within 60 days, and is renewed daily */
        if (!pin->until || stage_of(pin->until, now) == 0)
            continue;
        begin(&l, s, configured ? "pin" : "learned");
        log_add(&l, "pin", pin_label(pin));
        log_end_on(&l, "until", pin->until, now,
                   configured ? "this pin is no longer accepted: remove it"
                              : "this pin is no longer accepted");
    }
}

/* Of the server last trusted; after a start there has been none. */
static void log_certificate(const struct section *s, int64_t now)
{
    struct cert_info info;
    struct log_line l;

    if (!stats_last_server(s->stats, &info))
        return;
    if (stage_of(info.not_after, now) != 0) {
        begin(&l, s, "certificate");
        log_add(&l, "subject", info.subject);
        log_end_on(&l, "not_after", info.not_after, now, "the server's certificate has expired");
    }
    cert_info_free(&info);
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
    log_add(&l, "detail", "a server whose pin does not match is let through");
    log_end(&l);
}

/* What is wrong with the key exchange that a section permits; false: nothing. */
static bool slow_key_exchange(const struct section *s, char *text, size_t size)
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

    if (!slow_key_exchange(s, text, sizeof(text)))
        return;
    log_begin(&l, LOG_LEVEL_WARNING, "slow_key_exchange", s->config->name);
    log_add(&l, "detail", text);
    log_end(&l);
}

void expiry_print(const struct snapshot *s, FILE *to)
{
    char text[256];
    size_t i;

    for (i = 0; i < s->count; i++)
        if (slow_key_exchange(&s->sections[i], text, sizeof(text)))
            print_line(to, "warning: [%s]: %s", s->sections[i].config->name, text);
}

void expiry_log(const struct snapshot *s, int64_t now)
{
    size_t i;

    for (i = 0; i < s->count; i++) {
        log_pins(&s->sections[i], now);
        log_certificate(&s->sections[i], now);
        log_report_mode(&s->sections[i], now);
        log_slow_key_exchange(&s->sections[i]);
    }
}
