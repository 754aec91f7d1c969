#include "keys.h"

#include <string.h>

#include "base/mem.h"
#include "help.h"
#include "pin/pin.h"
#include "pin/pinvalue.h"

const uint8_t *digest(const char *pin)
{
    static uint8_t digests[4][CERT_DIGEST_SIZE];
    static unsigned next;
    struct arena arena = {0};
    struct pin_list list = {0};
    uint8_t *out = digests[next++ % 4];

    assert_null(pinvalue_parse(pin, NULL, &arena, &list));
    memcpy(out, list.items[0].digest, CERT_DIGEST_SIZE);
    arena_free(&arena);
    return out;
}

const char *pin_of(const struct learned_key *k)
{
    static char text[PIN_KEY_TEXT_SIZE];

    pin_format_key(k->digest, text);
    return text;
}

struct learned_key key_of(const char *section, const char *hostport, const uint8_t *bytes)
{
    struct learned_key key;

    assert_true(learnedkey_init(&key, section, hostport, bytes, NOW));
    return key;
}

struct learned_key announced_key(const char *section, const char *hostport, const uint8_t *bytes,
                                 int64_t until, const struct learned_via *via)
{
    struct learned_key key = key_of(section, hostport, bytes);

    key.from = LEARNED_PINS_URL;
    key.until = until;
    key.via = *via;
    return key;
}
