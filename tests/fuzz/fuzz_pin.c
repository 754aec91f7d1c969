/*
 * The readers of pins. What pin_parse() takes prints as something that it takes again, as the same
 * pin; what it does not take leaves the list alone. keyfile_parse() takes all of a file or nothing.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "harmless.h"
#include "pin/keyfile.h"
#include "pin/pin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
    if (!ok)
        abort();
}

/* same: what the digest must print as; NULL: that is not known. */
static void read_back(enum pin_kind kind, const uint8_t digest[CERT_DIGEST_SIZE], const char *same)
{
    struct arena arena = {0};
    struct pin_list list = {0};
    char text[PIN_CERT_TEXT_SIZE > PIN_KEY_TEXT_SIZE ? PIN_CERT_TEXT_SIZE : PIN_KEY_TEXT_SIZE];

    if (kind == PIN_KEY)
        pin_format_key(digest, text);
    else
        pin_format_cert(digest, text);
    need(!same || strcmp(text, same) == 0);
    need(!pin_parse(text, NULL, &arena, &list) && list.count == 1);
    need(list.items[0].kind == kind && memcmp(list.items[0].digest, digest, CERT_DIGEST_SIZE) == 0);
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
        read_back(PIN_KEY, f.items[i].key, NULL);
        if (f.items[i].kind != KEYFILE_CERTIFICATE)
            continue;
        need(memcmp(f.items[i].key, f.items[i].cert.key, CERT_DIGEST_SIZE) == 0);
        read_back(PIN_CERT, f.items[i].cert.cert, NULL);
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

    need(!pin_parse(before, NULL, &arena, &pins));
    why = pin_parse(value, HARMLESS_DIR, &arena, &pins);
    need(why ? pins.count == 1 && *why : pins.count > 1);
    need(strcmp(pins.items[0].text, before) == 0 && !pins.items[0].name);
    for (i = 0; i < pins.count; i++) {
        read_back(pins.items[i].kind, pins.items[i].digest, pins.items[i].text);
        /* of a key's digest there is one spelling */
        need(i == 0 || pins.items[i].kind != PIN_KEY || strstr(value, pins.items[i].text));
    }
    /* the second time they all stand there */
    i = pins.count;
    need(why || (pin_parse(value, HARMLESS_DIR, &arena, &pins) && pins.count == i));
    why = pin_parse_revoked(value, HARMLESS_DIR, &arena, &revoked);
    need(why ? revoked.count == 0 : revoked.count > 0);
    for (i = 0; i < revoked.count; i++)
        need(revoked.items[i].kind == PIN_KEY && !revoked.items[i].name
             && revoked.items[i].until == 0);
    arena_free(&arena);
    free(value);
    read_file(data, size);
    return 0;
}
