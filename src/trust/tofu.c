#include "trust/tofu.h"

#include <stdbool.h>

#include "base/strbuf.h"
#include "base/units.h"
#include "config/section.h"
#include "pin/pin.h"
#include "trust/policy.h"

/* Returns the pin of the key that was stored on first use, or NULL. */
static const struct pin *stored_key(const struct policy_pins *pins)
{
    size_t i;

    for (i = 0; i < pins->count; i++)
        if (policy_pins_at(pins, i)->origin == PIN_FIRST_USE)
            return policy_pins_at(pins, i);
    return NULL;
}

enum tofu_result tofu_decide(const struct policy_pins *pins, const struct pin_match *match)
{
    if (match->live)
        return TOFU_KNOWN;
    if (match->expired)
        return TOFU_MISMATCH;
    if (stored_key(pins))
        return TOFU_CHANGED;
    return pins->count > 0 ? TOFU_MISMATCH : TOFU_FIRST_USE;
}

/* Adds `pinproxy learned accept SECTION PIN -c FILE`, in an order for names with a leading dash. */
static void add_command(struct strbuf *b, const struct config_section *s, const char *pin)
{
    const bool dash = s->name[0] == '-';

    strbuf_add(b, "pinproxy learned accept ");
    if (dash) {
        strbuf_add(b, "-c ");
        strbuf_add_shell(b, s->config_path);
        strbuf_add(b, " -- ");
    }
    strbuf_add_shell(b, s->name);
    strbuf_addf(b, " %s", pin);
    if (!dash) {
        strbuf_add(b, " -c ");
        strbuf_add_shell(b, s->config_path);
    }
}

char *tofu_explain_change(const struct config_section *section, const struct policy_pins *pins,
                          const uint8_t shown[CERT_DIGEST_SIZE])
{
    const struct pin *stored = stored_key(pins);
    char pin[PIN_KEY_TEXT_SIZE], day[UNITS_DATE_SIZE];
    struct strbuf text = {0};

    pin_format_key(shown, pin);
    units_format_date(stored->first_seen, day);
    strbuf_addf(&text,
                "the server presents the key %s; the stored key, since %s, is %s: if you have "
                "verified the new one, accept it with: ",
                pin, day, stored->text);
    add_command(&text, section, pin);
    return strbuf_detach(&text);
}
