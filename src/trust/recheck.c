#include "trust/recheck.h"

#include <stdio.h>

#include "base/units.h"
#include "config/section.h"
#include "trust/policy.h"

/* Returns the policy's pin that is equal to one that a server was accepted on, or NULL. */
static const struct pin *find_pin(const struct policy_pins *pins, const struct pin *pin)
{
    size_t i;

    for (i = 0; i < pins->count; i++)
        if (pin_equal(policy_pins_at(pins, i), pin))
            return policy_pins_at(pins, i);
    return NULL;
}

/* Returns true, with detail, if a key of a trusted server or of its chain is revoked now. */
static bool is_revoked_now(const struct config_section *section, const uint8_t *key, char *detail)
{
    char text[PIN_KEY_TEXT_SIZE];

    if (!policy_is_revoked(section, key))
        return false;
    pin_format_key(key, text);
    snprintf(detail, TRUST_DETAIL_SIZE, "%s has been revoked", text);
    return true;
}

enum reason recheck_verdict(const struct policy *policy, const struct trust_verdict *verdict,
                            int64_t since, int64_t now, char detail[TRUST_DETAIL_SIZE])
{
    char day[UNITS_DATE_SIZE];
    struct policy_pins pins;
    const struct pin *pin;
    size_t i;

    if (is_revoked_now(policy->section, verdict->server.key, detail)
        || is_revoked_now(policy->section, verdict->server.ordinary_key, detail))
        return REASON_REVOKED;
    for (i = 0; i < verdict->ca_key_count; i++)
        if (is_revoked_now(policy->section, verdict->ca_keys[i], detail))
            return REASON_REVOKED;
    if (!verdict->pin || policy->section->on_pin_removed == PIN_REMOVED_KEEP)
        return REASON_OK;
    policy_pins(policy, &pins);
    pin = find_pin(&pins, verdict->pin);
    if (!pin) {
        snprintf(detail, TRUST_DETAIL_SIZE, "pin %s was removed", pin_label(verdict->pin));
        return REASON_PIN_REMOVED;
    }
    if (pin->until <= since || pin->until > now)
        return REASON_OK;
    units_format_date(pin->until, day);
    snprintf(detail, TRUST_DETAIL_SIZE, "pin %s has until=%s", pin_label(verdict->pin), day);
    return REASON_EXPIRED_PINS;
}
