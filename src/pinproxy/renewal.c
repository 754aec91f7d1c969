#include "pinproxy/renewal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/units.h"
#include "pin/pin.h"
#include "pinproxy/report.h"
#include "trust/policy.h"

static void renewal_add(json_t *notes, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void renewal_add(json_t *notes, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    json_array_append_new(notes, report_json_text(format, ap));
    va_end(ap);
}

/* A root has issued itself. A root that another CA has certified too looks like an intermediate. */
static bool is_intermediate(const struct cert_info *c)
{
    return c->is_ca && strcmp(c->subject, c->issuer) != 0;
}

json_t *renewal_of_chain(const struct cert_info *chain, size_t count)
{
    json_t *notes = json_array();
    char day[UNITS_DATE_SIZE];
    size_t i;

    renewal_add(notes, "the next key of the server is unknown: if a renewal brings a new key, the "
                       "server is refused unless the pin of that key was added before");
    if (chain[0].digests.is_raw_key)
        return notes;
    units_format_date(chain[0].not_after, day);
    renewal_add(notes, "a pin of the certificate (cert:) ends with it, on %s at the latest", day);
    for (i = 1; i < count; i++) {
        if (!is_intermediate(&chain[i]))
            continue;
        renewal_add(notes,
                    "%s is an intermediate CA, which can be replaced without notice, as Let's "
                    "Encrypt and others do; a pin of it (issuer:) then refuses the server. Pins of "
                    "two intermediates, or of the root (issuer-cert:FILE), survive that",
                    chain[i].subject);
        break;
    }
    return notes;
}

/* Returns the name of the intermediate CA that a pin is of, or NULL if it is none or not known. */
static const char *intermediate_of(const struct pin *pin, const struct probe *p)
{
    size_t i;

    if (pin_is_of_intermediate(pin) && pin->subject)
        return pin->subject;
    for (i = 1; p && i < p->chain_count; i++)
        if (pin_matches(pin, PIN_ISSUER, &p->chain[i].digests))
            return is_intermediate(&p->chain[i]) ? p->chain[i].subject : NULL;
    return NULL;
}

/* The live pins of a section, by kind. */
struct renewal_pins {
    size_t keys, certs, issuers;
    const struct pin *cert;   /* the first of its kind */
    const struct pin *issuer; /* as cert */
    const char *intermediate; /* all issuers are this one; NULL: they are not, or it is not known */
};

static void add_issuer(struct renewal_pins *live, const struct pin *pin, const struct probe *p)
{
    const char *name = intermediate_of(pin, p);

    if (live->issuers++ == 0) {
        live->issuer = pin;
        live->intermediate = name;
    } else if (!name || !live->intermediate || strcmp(name, live->intermediate) != 0) {
        live->intermediate = NULL;
    }
}

static void count_pins(const struct section *s, const struct probe *p, int64_t now,
                       const struct policy_pins *pins, struct renewal_pins *live)
{
    size_t i;

    memset(live, 0, sizeof(*live));
    for (i = 0; i < pins->count; i++) {
        const struct pin *pin = policy_pins_at(pins, i);

        if (pin_is_expired(pin, now)
            || (pin->kind == PIN_KEY && policy_is_revoked(s->config, pin->digest)))
            continue;
        if (pin->role == PIN_ISSUER)
            add_issuer(live, pin, p);
        else if (pin->kind == PIN_KEY)
            live->keys++;
        else if (live->certs++ == 0)
            live->cert = pin;
    }
}

/* A certificate's pin alone ends with it. A pin of a key or of a CA beside it may survive it. */
static void add_certificate(json_t *notes, const struct pin *pin, const struct probe *p)
{
    char day[UNITS_DATE_SIZE] = "";

    if (p && p->chain_count && pin_matches(pin, PIN_SERVER, &p->chain[0].digests))
        units_format_date(p->chain[0].not_after, day);
    renewal_add(notes,
                "pin %s is of one certificate and ends with it%s%s: add a pin of the next "
                "certificate or of its key before the server uses it",
                pin_label(pin), *day ? ", on " : "", day);
}

json_t *renewal_of_section(const struct section *s, const struct probe *p, int64_t now)
{
    json_t *notes = json_array();
    struct renewal_pins live;
    struct policy_pins pins;

    if (s->config->verify == VERIFY_PKI)
        return notes;
    policy_pins(s->policy, &pins);
    count_pins(s, p, now, &pins, &live);
    if (live.certs && !live.keys && !live.issuers)
        add_certificate(notes, live.cert, p);
    if (live.intermediate)
        renewal_add(notes,
                    "pin %s is of an intermediate CA, %s, which can be replaced without notice, as "
                    "Let's Encrypt and others do; add a pin of a second intermediate, or of the "
                    "root (issuer-cert:FILE)",
                    pin_label(live.issuer), live.intermediate);
    if (config_uses_tofu(s->config) && live.keys == 1 && !live.certs && !live.issuers)
        renewal_add(notes,
                    "only the key that was seen first is accepted: if a renewal brings a new "
                    "key, the server is refused until 'pinproxy learned accept' accepts it");
    return notes;
}
