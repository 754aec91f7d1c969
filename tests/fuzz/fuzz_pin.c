/*
 * The readers of pins. A pin that pinvalue_parse() accepts prints as a text that it reads as the same
 * pin; a value that it refuses leaves the list alone. keyfile_parse() reads all of a file or nothing.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "harmless.h"
#include "pin/keyfile.h"
#include "pin/pinvalue.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
    if (!ok)
        abort();
}

/* Prints a pin and reads it again. same: the text that it must print as, or NULL. */
static void read_back(enum pin_role role, enum pin_kind kind,
                      const uint8_t digest[CERT_DIGEST_SIZE], const char *same)
{
    struct arena arena = {0};
    struct pin_list list = {0};
    struct pin pin;
    char text[PIN_TEXT_SIZE];

    pin_format(role, kind, digest, text);
    need(!same || strcmp(text, same) == 0);
    need(!pinvalue_parse(text, NULL, &arena, &list) && list.count == 1);
    need(!pin_read(text, &pin) && pin_equal(&pin, &list.items[0]));
    need(pin.role == role && pin.kind == kind && memcmp(pin.digest, digest, CERT_DIGEST_SIZE) == 0);
    arena_free(&arena);
}

static void read_file(const uint8_t *data, size_t size)
{
    struct keyfile f;
    const char *why = keyfile_parse((const char *)data, size, &f);
    size_t i;

    need(why ? f.count == 0 && !f.items && *why : f.count > 0);
    for (i = 0; i < f.count; i++) {
        need(*keyfile_kind_name(f.items[i].kind) != '\0');
        read_back(PIN_SERVER, PIN_KEY, f.items[i].key, NULL);
        if (f.items[i].kind != KEYFILE_CERTIFICATE)
            continue;
        need(memcmp(f.items[i].key, f.items[i].cert.digests.key, CERT_DIGEST_SIZE) == 0);
        read_back(PIN_SERVER, PIN_CERT, f.items[i].cert.digests.cert, NULL);
    }
    keyfile_free(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char before[] = "sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=";
    struct arena arena = {0};
    struct pin_list pins = {0}, revoked = {0};
    char *value = harmless_copy(data, size);
    const char *why;
    size_t i;

    need(!pinvalue_parse(before, NULL, &arena, &pins));
    why = pinvalue_parse(value, HARMLESS_DIR, &arena, &pins);
    need(why ? pins.count == 1 && *why : pins.count > 1);
    need(strcmp(pins.items[0].text, before) == 0 && !pins.items[0].name);
    for (i = 0; i < pins.count; i++) {
        read_back(pins.items[i].role, pins.items[i].kind, pins.items[i].digest, pins.items[i].text);
        /* of a key's digest there is one spelling */
        need(i == 0 || pins.items[i].kind != PIN_KEY || strstr(value, pins.items[i].text));
    }
    /* the second time they all stand there */
    i = pins.count;
    need(why || (pinvalue_parse(value, HARMLESS_DIR, &arena, &pins) && pins.count == i));
    why = pinvalue_parse_revoked(value, HARMLESS_DIR, &arena, &revoked);
    need(why ? revoked.count == 0 : revoked.count > 0);
    for (i = 0; i < revoked.count; i++)
        need(revoked.items[i].kind == PIN_KEY && !revoked.items[i].name
             && revoked.items[i].until == 0);
    arena_free(&arena);
    free(value);
    read_file(data, size);
    return 0;
}
