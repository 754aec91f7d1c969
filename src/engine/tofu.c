#include "engine/tofu.h"

#include <stdio.h>

#include "base/units.h"
#include "config/pin.h"

const struct learned_key *tofu_kept_key(const struct learned_key *keys, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++)
        if (keys[i].from == LEARNED_TOFU)
            return &keys[i];
    return &keys[0];
}

char *tofu_explain_change(const struct config_section *section, const struct learned_key *kept,
                          const uint8_t shown[CERT_DIGEST_SIZE])
{
    char was[PIN_KEY_TEXT_SIZE], is[PIN_KEY_TEXT_SIZE], day[UNITS_DATE_SIZE], *text;

    pin_format_key(kept->digest, was);
    pin_format_key(shown, is);
    units_format_date(kept->first_seen, day);
    if (asprintf(&text,
                 "the server presents %s, the key kept on %s is %s: if you have made sure that the "
                 "new one is right, 'pinproxy learned accept %s -c %s' accepts it",
                 is, day, was, section->name, section->config_path)
        < 0)
        return NULL;
    return text;
}
