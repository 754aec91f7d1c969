#include "config/pin.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/units.h"
#include "config/pinfile.h"

#define KEY_PREFIX "sha256//"
#define CERT_PREFIX "cert:sha256:"
#define BASE64_LEN 44

/* One `pin` value while it is read: everything new is added to list, from index first on. */
struct reading {
    const char *dir;
    struct arena *arena;
    struct pin_list *list;
    size_t first;
    bool revoked;
};

void pin_format_key(const uint8_t digest[CERT_DIGEST_SIZE], char out[PIN_KEY_TEXT_SIZE])
{
    unsigned char base64[BASE64_LEN + 1];

    EVP_EncodeBlock(base64, digest, CERT_DIGEST_SIZE);
    snprintf(out, PIN_KEY_TEXT_SIZE, KEY_PREFIX "%s", base64);
}

void pin_format_cert(const uint8_t digest[CERT_DIGEST_SIZE], char out[PIN_CERT_TEXT_SIZE])
{
    size_t i, n = strlen(CERT_PREFIX);

    memcpy(out, CERT_PREFIX, n);
    for (i = 0; i < CERT_DIGEST_SIZE; i++)
        snprintf(out + n + 2 * i, 3, "%02x", digest[i]);
}

bool pin_is_over(const struct pin *pin, int64_t now)
{
    return pin->until != 0 && now >= pin->until;
}

const char *pin_label(const struct pin *pin)
{
    return pin->name ? pin->name : pin->text;
}

static const char *add(struct reading *r, enum pin_kind kind,
                       const uint8_t digest[CERT_DIGEST_SIZE], const struct cert_info *cert,
                       const char *file)
{
    static const uint8_t zero[CERT_DIGEST_SIZE];
    char text[PIN_CERT_TEXT_SIZE];
    struct pin *pin;
    size_t i;

    if (memcmp(digest, zero, sizeof(zero)) == 0)
        return "an all-zero digest is no key's and no certificate's";
    for (i = 0; i < r->list->count; i++)
        if (r->list->items[i].kind == kind
            && memcmp(r->list->items[i].digest, digest, CERT_DIGEST_SIZE) == 0)
            return "the same one stands here already; give it once";
    if (kind == PIN_KEY)
        pin_format_key(digest, text);
    else
        pin_format_cert(digest, text);

    r->list->items = arena_grow(r->arena, r->list->items, r->list->count, sizeof(*pin));
    pin = &r->list->items[r->list->count++];
    memset(pin, 0, sizeof(*pin));
    pin->kind = kind;
    memcpy(pin->digest, digest, CERT_DIGEST_SIZE);
    pin->text = arena_strdup(r->arena, text);
    pin->file = file;
    pin->subject = cert && cert->subject ? arena_strdup(r->arena, cert->subject) : NULL;
    return NULL;
}

/* RFC 4648 section 4, and of all encodings of a digest the canonical one: decode, encode, compare. */
static const char *read_key_digest(struct reading *r, const char *text, size_t n)
{
    static const char hint[] =
        "sha256// takes exactly 44 characters of base64 (A-Z a-z 0-9 + / and the padding '=')";
    unsigned char raw[BASE64_LEN / 4 * 3];
    char again[PIN_KEY_TEXT_SIZE], base64[BASE64_LEN + 1];

    if (n != BASE64_LEN)
        return hint;
    memcpy(base64, text, n);
    base64[n] = '\0';
    if (EVP_DecodeBlock(raw, (const unsigned char *)base64, BASE64_LEN) != (int)sizeof(raw))
        return hint;
    pin_format_key(raw, again);
    if (strcmp(again + strlen(KEY_PREFIX), base64) != 0)
        return "sha256// takes the base64 of 32 bytes, with padding and no spare bits set";
    return add(r, PIN_KEY, raw, NULL, NULL);
}

/* "sha256//A" or, as curl writes it, "sha256//A;sha256//B". */
static const char *read_key_digests(struct reading *r, const char *text)
{
    const char *why = NULL, *end;
    size_t n;

    for (; !why && *text; text = end) {
        if (strncmp(text, KEY_PREFIX, strlen(KEY_PREFIX)) != 0)
            return "after ';' another sha256//BASE64 is expected";
        text += strlen(KEY_PREFIX);
        end = strchrnul(text, ';');
        n = (size_t)(end - text);
        why = read_key_digest(r, text, n);
        if (*end == ';' && *++end == '\0')
            return "after ';' another sha256//BASE64 is expected";
    }
    return why;
}

static const char *read_cert_digest(struct reading *r, const char *text)
{
    static const char hint[] =
        "cert:sha256: takes 64 hex digits, with colons between all bytes or none";
    uint8_t digest[CERT_DIGEST_SIZE];
    const bool colons = strlen(text) == 95;
    size_t i;

    if (strlen(text) != 64 && !colons)
        return hint;
    for (i = 0; i < CERT_DIGEST_SIZE; i++) {
        unsigned byte;

        if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1]))
            return hint;
        sscanf(text, "%2x", &byte);
        digest[i] = (uint8_t)byte;
        text += 2;
        if (colons && i + 1 < CERT_DIGEST_SIZE && *text++ != ':')
            return hint;
    }
    return add(r, PIN_CERT, digest, NULL, NULL);
}

static const char *read_file(struct reading *r, enum pin_kind kind, const char *path)
{
    const char *file = file_resolve(r->arena, r->dir, path), *why;
    struct pinfile f;
    size_t i;

    if (!*path)
        return "a file name is missing";
    why = pinfile_read(file, &f);
    if (why)
        return arena_printf(r->arena, "%s: %s", file, why);
    for (i = 0; !why && i < f.count; i++) {
        const struct pinfile_item *item = &f.items[i];

        if (item->kind == PINFILE_PRIVATE_KEY)
            why = "a private key does not belong near a configuration: pin what 'pinproxy hash "
                  "FILE' prints for it";
        else if (kind == PIN_CERT && item->kind != PINFILE_CERTIFICATE)
            why = "cert: takes a certificate; for a key or a CSR say key:FILE";
        else
            why = add(r, kind, kind == PIN_CERT ? item->cert.cert : item->key, &item->cert, file);
        if (why)
            why = arena_printf(r->arena, "%s: %s", file, why);
    }
    pinfile_free(&f);
    return why;
}

static bool starts_with(const char *s, const char *prefix)
{
    return strncasecmp(s, prefix, strlen(prefix)) == 0;
}

static const char *read_form(struct reading *r, const char *text)
{
    static const char certificates_change[] =
        "revoke the key, as sha256//BASE64 or key:FILE: a certificate's digest can be changed "
        "without breaking its signature";

    if (strncmp(text, KEY_PREFIX, strlen(KEY_PREFIX)) == 0)
        return read_key_digests(r, text);
    if (strncmp(text, "key:", 4) == 0)
        return read_file(r, PIN_KEY, text + 4);
    if (strncmp(text, "cert:", 5) == 0 && r->revoked)
        return certificates_change;
    if (strncmp(text, CERT_PREFIX, strlen(CERT_PREFIX)) == 0)
        return read_cert_digest(r, text + strlen(CERT_PREFIX));
    if (starts_with(text, "cert:md5:") || starts_with(text, "cert:sha1:")
        || starts_with(text, "md5") || starts_with(text, "sha1"))
        return "MD5 and SHA-1 digests can be forged: take SHA-256, as 'pinproxy hash' prints it";
    if (strncmp(text, "cert:", 5) == 0)
        return read_file(r, PIN_CERT, text + 5);
    if (starts_with(text, "issuer:") || starts_with(text, "issuer-cert:"))
        return "issuer pins are not supported yet";
    return r->revoked ? "expected sha256//BASE64 or key:FILE"
                      : "expected sha256//BASE64, cert:sha256:HEX, cert:FILE or key:FILE";
}

/*
 * Takes the last word off the text if it is "PREFIX...", and returns what follows the prefix there;
 * else NULL. From the end, so that file names may hold spaces.
 */
static const char *take_suffix(struct arena *arena, char *text, const char *prefix)
{
    size_t end = strlen(text), start = end;

    while (start && !isspace((unsigned char)text[start - 1]))
        start--;
    if (start == 0 || strncmp(text + start, prefix, strlen(prefix)) != 0)
        return NULL;
    prefix = arena_strdup(arena, text + start + strlen(prefix));
    while (start && isspace((unsigned char)text[start - 1]))
        start--;
    text[start] = '\0';
    return prefix;
}

static const char *check_name(const char *name)
{
    const char *p;

    for (p = name; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("-_.", *p))
            break;
    if (p == name || *p || p - name > 64)
        return "name= takes a word of letters, digits, '-', '_' and '.', at most 64 long";
    return NULL;
}

static const char *read_value(struct reading *r, const char *value)
{
    char *text = arena_strdup(r->arena, value);
    const char *until = NULL, *name = NULL, *word, *why;
    int64_t seconds = 0;
    size_t i;

    while (!r->revoked) {
        if ((word = take_suffix(r->arena, text, "until=")) && !until)
            until = word;
        else if (!word && (word = take_suffix(r->arena, text, "name=")) && !name)
            name = word;
        else if (word)
            return "until= and name= may each stand once behind a pin";
        else
            break;
    }
    if (until && (why = units_date(until, &seconds)))
        return arena_printf(r->arena, "until= takes %s", why);
    if (until && seconds <= 0) /* 0 stands for no end */
        return "until= lies before the computer's time began";
    if (name && (why = check_name(name)))
        return why;
    why = read_form(r, text);
    if (why)
        return why;
    for (i = r->first; i < r->list->count; i++) {
        r->list->items[i].until = seconds;
        r->list->items[i].name = name;
    }
    return NULL;
}

static const char *parse(const char *value, const char *dir, struct arena *arena,
                         struct pin_list *list, bool revoked)
{
    struct reading r = {
        .dir = dir, .arena = arena, .list = list, .first = list->count, .revoked = revoked};
    const char *why = read_value(&r, value);

    /* arena_grow() wants an exact count, and what was added stays in the arena: a gap is no harm */
    if (why)
        list->count = r.first;
    return why;
}

const char *pin_parse(const char *value, const char *dir, struct arena *arena,
                      struct pin_list *list)
{
    return parse(value, dir, arena, list, false);
}

const char *pin_parse_revoked(const char *value, const char *dir, struct arena *arena,
                              struct pin_list *list)
{
    return parse(value, dir, arena, list, true);
}
