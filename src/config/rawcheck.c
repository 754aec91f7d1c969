#include "config/rawcheck.h"

#include <stdbool.h>

/* Returns the line that sets an option, or the section's head if it comes from [defaults]. */
static struct location locate(const struct config_section *s, const char *option)
{
    const struct location where = config_set_at(&s->lines, option);

    return where.line ? where : s->where;
}

/* Returns the first pin that no raw public key can match, or NULL. */
static const struct pin *find_unmatchable(const struct pin_list *pins)
{
    size_t i;

    for (i = 0; i < pins->count; i++)
        if (pins->items[i].role != PIN_SERVER || pins->items[i].kind != PIN_KEY)
            return &pins->items[i];
    return NULL;
}

static bool has_key_pin(const struct pin_list *pins)
{
    size_t i;

    for (i = 0; i < pins->count; i++)
        if (pins->items[i].role == PIN_SERVER && pins->items[i].kind == PIN_KEY)
            return true;
    return false;
}

void rawcheck_section(const struct config_section *s, struct diag_list *diags)
{
    const bool required = s->tls.raw_key == RAW_KEY_REQUIRE;
    const struct pin *pin = find_unmatchable(&s->pins);

    if (s->tls.raw_key == RAW_KEY_NO)
        return;
    if (config_uses_pki(s))
        diag_add(diags, locate(s, "raw_key"),
                 "[%s] has a raw_key in a mode that checks the PKI, which a raw public key is no "
                 "part of: set verify = pin or tofu, or raw_key = no",
                 s->name);
    else if (s->also_check)
        diag_add(
            diags, locate(s, "also_check"),
            "[%s] has also_check, but a raw public key has neither a name nor dates: remove it, or "
            "set raw_key = no",
            s->name);
    else if (required && pin)
        diag_add(diags, locate(s, "raw_key"),
                 "[%s] has raw_key = require, and its pin %s is of a certificate or a CA, so no "
                 "server can match it: remove that pin, or set raw_key = offer",
                 s->name, pin_label(pin));
    else if (!config_uses_tofu(s) && s->pins.count && !has_key_pin(&s->pins))
        diag_add(diags, locate(s, "raw_key"),
                 "[%s] has a raw_key, and no pin that a raw public key can match: add a pin "
                 "sha256// or key:, or set raw_key = no",
                 s->name);
}
