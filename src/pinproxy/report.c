#include "pinproxy/report.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/print.h"
#include "base/strbuf.h"
#include "base/units.h"
#include "pin/pin.h"

char *report_safe(const char *text)
{
    struct strbuf out = {0};

    strbuf_add_safe(&out, text, strlen(text), 1024);
    return strbuf_detach(&out);
}

json_t *report_json_text(const char *format, va_list ap)
{
    char *text, *safe;
    json_t *value;

    if (vasprintf(&text, format, ap) < 0)
        text = xstrdup("out of memory");
    safe = report_safe(text);
    value = json_string(safe);
    free(safe);
    free(text);
    return value;
}

long report_days_left(int64_t until)
{
    return (long)clock_days(until - clock_now());
}

void report_span(int64_t end, char out[UNITS_SPAN_SIZE])
{
    units_format_span(end - clock_now(), out);
}

static void line(FILE *to, const char *name, const char *value)
{
    if (value && *value)
        print_line(to, "    %-10s %s", name, value);
}

void report_cert(FILE *to, size_t depth, const struct cert_info *c)
{
    char from[UNITS_DATE_SIZE], until[UNITS_DATE_SIZE], span[UNITS_SPAN_SIZE];
    /* the form in which a section can pin a CA */
    const enum pin_role role = depth == 0 ? PIN_SERVER : PIN_ISSUER;
    char key[PIN_TEXT_SIZE], cert[PIN_TEXT_SIZE];

    pin_format(role, PIN_KEY, c->digests.key, key);
    if (c->digests.is_raw_key) {
        print_line(to, "%zu   a raw public key, without a certificate", depth);
        line(to, "key", c->key_type);
        line(to, "pin", key);
        return;
    }
    units_format_date(c->not_before, from);
    units_format_date(c->not_after, until);
    pin_format(role, PIN_CERT, c->digests.cert, cert);
    print_line(to, "%zu   %-10s %s%s", depth, "subject", c->subject, c->is_ca ? "  (a CA)" : "");
    line(to, "issuer", c->issuer);
    line(to, "names", c->names);
    fprintf(to, "    %-10s %s to %s, ", "valid", from, until);
    report_span(c->not_after, span);
    if (report_days_left(c->not_after) < 0)
        fprintf(to, "EXPIRED %s ago\n", span);
    else
        fprintf(to, "%s left\n", span);
    line(to, "key", c->key_type);
    line(to, "pin", key);
    line(to, "pin", cert);
}

static json_t *raw_key_json(const struct cert_info *c)
{
    char key[PIN_KEY_TEXT_SIZE];

    pin_format_key(c->digests.key, key);
    return json_pack("{s:b, s:s, s:s}", "raw_key", 1, "key_type", c->key_type, "pin", key);
}

static json_t *certificate_json(size_t depth, const struct cert_info *c)
{
    const enum pin_role role = depth == 0 ? PIN_SERVER : PIN_ISSUER;
    char from[UNITS_DATE_SIZE], until[UNITS_DATE_SIZE];
    char key[PIN_TEXT_SIZE], cert[PIN_TEXT_SIZE];
    char *subject = report_safe(c->subject), *issuer = report_safe(c->issuer);
    json_t *o;

    units_format_date(c->not_before, from);
    units_format_date(c->not_after, until);
    pin_format(role, PIN_KEY, c->digests.key, key);
    pin_format(role, PIN_CERT, c->digests.cert, cert);
    o = json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:I, s:s, s:s}", "subject", subject,
                  "issuer", issuer, "names", c->names, "key_type", c->key_type, "ca", c->is_ca,
                  "not_before", from, "not_after", until, "days_left",
                  (json_int_t)report_days_left(c->not_after), "pin", key, "cert_pin", cert);
    free(subject);
    free(issuer);
    return o;
}

json_t *report_cert_json(size_t depth, const struct cert_info *c)
{
    return c->digests.is_raw_key ? raw_key_json(c) : certificate_json(depth, c);
}

json_t *report_crl_json(const struct crl_info *c)
{
    char *issuer = report_safe(c->issuer), *file = report_safe(c->file);
    char from[UNITS_DATE_SIZE], until[UNITS_DATE_SIZE];
    json_t *o;

    units_format_date(c->this_update, from);
    o = json_pack("{s:s, s:s, s:s}", "issuer", issuer, "file", file, "this_update", from);
    if (c->next_update != INT64_MAX) {
        units_format_date(c->next_update, until);
        json_object_set_new(o, "next_update", json_string(until));
        json_object_set_new(o, "days_left", json_integer(report_days_left(c->next_update)));
    }
    free(issuer);
    free(file);
    return o;
}

static void report_expected(FILE *to, const struct config_section *section)
{
    size_t i;

    for (i = 0; i < section->pins.count; i++) {
        const struct pin *pin = &section->pins.items[i];

        line(to, i ? "or" : "expected", pin->subject ? pin->subject : pin_label(pin));
        line(to, "", pin->subject || pin->name ? pin->text : NULL);
        line(to, "from", pin->file);
    }
}

void report_refusal(FILE *to, const char *host, enum reason reason, const char *detail,
                    const struct config_section *section, const struct cert_info *presented,
                    const char *pki)
{
    char key[PIN_KEY_TEXT_SIZE], cert[PIN_CERT_TEXT_SIZE];

    if (!detail)
        detail = "";
    print_line(to, "pinproxy: %s: %s: %s%s%s", host, reason_name(reason), reason_text(reason),
               *detail ? ": " : "", detail);
    if (!presented || !reason_is_trust(reason))
        return;
    pin_format_key(presented->digests.key, key);
    if (presented->digests.is_raw_key) {
        line(to, "presented", "a raw public key, without a certificate");
        line(to, "", key);
    } else {
        pin_format_cert(presented->digests.cert, cert);
        line(to, "presented", presented->subject);
        line(to, "issuer", presented->issuer);
        line(to, "", key);
        line(to, "", cert);
    }
    if (reason == REASON_PIN_MISMATCH || reason == REASON_TOFU_CHANGED) {
        report_expected(to, section);
        line(to, "pki", pki);
    }
}

int report_status(enum reason reason)
{
    if (reason == REASON_OK)
        return EXITCODE_OK;
    return reason_is_trust(reason) ? EXITCODE_REFUSED : EXITCODE_FAILURE;
}

void report_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(value);
}
