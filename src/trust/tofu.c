#include "trust/tofu.h"

#include <stdbool.h>

#include "base/strbuf.h"
#include "base/units.h"
#include "pin/pin.h"

const struct learned_key *tofu_kept_key(const struct learned_key *keys, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++)
        if (keys[i].from == LEARNED_TOFU)
            return &keys[i];
    return NULL;
}

/* `pinproxy learned accept SECTION PIN -c FILE`, in an order that survives a leading dash. */
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

char *tofu_explain_change(const struct config_section *section, const struct learned_key *kept,
                          const uint8_t shown[CERT_DIGEST_SIZE])
{
    char was[PIN_KEY_TEXT_SIZE], is[PIN_KEY_TEXT_SIZE], day[UNITS_DATE_SIZE];
    struct strbuf text = {0};

    pin_format_key(kept->digest, was);
    pin_format_key(shown, is);
    units_format_date(kept->first_seen, day);
    strbuf_addf(&text,
                "the server presents %s, the key kept on %s is %s: if you have made sure that the "
                "new one is right, accept it with: ",
                is, day, was);
    add_command(&text, section, is);
    return strbuf_detach(&text);
}
