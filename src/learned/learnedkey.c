#include "learned/learnedkey.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/units.h"
#include "base/util.h"
#include "pin/pin.h"

#define PIN_PREFIX "sha256//"

static const char *const origins[] = {"tofu", "pins_url"};

int64_t learnedkey_day(int64_t seconds)
{
    return seconds - seconds % DAY_SECONDS;
}

bool learnedkey_init(struct learned_key *key, const char *section, const char *hostport,
                     const uint8_t digest[CERT_DIGEST_SIZE], int64_t now)
{
    if (strlen(section) >= sizeof(key->section) || strlen(hostport) >= sizeof(key->hostport))
        return false;
    memset(key, 0, sizeof(*key));
    strcpy(key->section, section);
    strcpy(key->hostport, hostport);
    memcpy(key->digest, digest, CERT_DIGEST_SIZE);
    key->first_seen = learnedkey_day(now);
    return true;
}

const char *learnedkey_origin(enum learned_origin origin)
{
    return origins[origin];
}

/* A line that is being parsed. */
struct line_parser {
    char *rest;
    struct learned_key *key;
    bool has_from, has_until;
};

const char *learnedkey_parse_pin(const char *word, uint8_t digest[CERT_DIGEST_SIZE])
{
    struct pin pin;

    if (!starts_with(word, PIN_PREFIX) || pin_read(word, &pin))
        return "expected a key's pin, sha256// and the 44 characters of its base64";
    memcpy(digest, pin.digest, CERT_DIGEST_SIZE);
    return NULL;
}

static const char *copy_word(char *out, size_t size, const char *word, const char *hint)
{
    if (!word || strlen(word) >= size)
        return hint;
    memcpy(out, word, strlen(word) + 1);
    return NULL;
}

static const char *read_hostport(struct learned_key *k, const char *word)
{
    static const char hint[] = "no host and port: expected host:port after the section";
    const char *colon = word ? strrchr(word, ':') : NULL;
    long port;

    if (!colon || colon == word)
        return hint;
    if (units_number(colon + 1, 1, 65535, &port))
        return "no port: expected host:port with a number from 1 to 65535";
    return copy_word(k->hostport, sizeof(k->hostport), word,
                     "host:port is too long, the maximum is 271 bytes");
}

static const char *read_pin(struct learned_key *k, const char *word)
{
    if (word && !learnedkey_parse_pin(word, k->digest))
        return NULL;
    return "no key's digest: expected sha256// and the 44 characters of its base64 after "
           "host:port";
}

/* From 1970 on: years of fewer digits would not be printed as they are read. */
static bool read_day(const char *word, int64_t min, int64_t *day)
{
    int64_t seconds;

    if (!word || units_date(word, &seconds) || seconds < min)
        return false;
    *day = seconds;
    return true;
}

static const char *read_origin(struct line_parser *r, const char *word)
{
    size_t i;

    for (i = 0; i < COUNT_OF(origins); i++) {
        if (strcmp(word, origins[i]) != 0)
            continue;
        r->key->from = (enum learned_origin)i;
        return NULL;
    }
    return "no known origin: expected from=tofu or from=pins_url";
}

/* A pin in the configuration's own form; not one that names a file. */
static const char *read_via(struct learned_key *k, const char *word)
{
    struct pin pin;

    if (pin_read(word, &pin))
        return "no pin of the configuration: expected via=sha256//..., via=cert:sha256:..., "
               "via=issuer:sha256//... or via=issuer-cert:sha256:...";
    k->via = (struct learned_via){.known = true, .role = pin.role, .kind = pin.kind};
    memcpy(k->via.digest, pin.digest, CERT_DIGEST_SIZE);
    return NULL;
}

/* Reads a word behind the date. Each may be there once, in any order. */
static const char *read_option(struct line_parser *r, const char *word)
{
    static const char twice[] = "a word is there twice: remove one of the two";

    if (strncmp(word, "from=", 5) == 0) {
        if (r->has_from)
            return twice;
        r->has_from = true;
        return read_origin(r, word + 5);
    }
    if (strncmp(word, "until=", 6) == 0) {
        if (r->has_until)
            return twice;
        r->has_until = true;
        return read_day(word + 6, 1, &r->key->until) /* 0 would be no end */
                   ? NULL
                   : "no day: expected until=YYYY-MM-DD, a date that exists, from 1970 on";
    }
    if (strncmp(word, "via=", 4) == 0)
        return r->key->via.known ? twice : read_via(r->key, word + 4);
    if (strcmp(word, "refused") == 0) {
        if (r->key->refused)
            return twice;
        r->key->refused = true;
        return NULL;
    }
    return "an unknown word: expected from=, until=, via=, refused or a comment after the date";
}

static const char *read_fields(struct line_parser *r)
{
    struct learned_key *k = r->key;
    const char *word, *why;

    why = copy_word(k->section, sizeof(k->section), strtok_r(r->rest, " \t", &r->rest),
                    "the section's name is too long, the maximum is 63 bytes");
    if (!why)
        why = read_hostport(k, strtok_r(NULL, " \t", &r->rest));
    if (!why)
        why = read_pin(k, strtok_r(NULL, " \t", &r->rest));
    if (why)
        return why;
    if (!read_day(strtok_r(NULL, " \t", &r->rest), 0, &k->first_seen))
        return "no day: expected the one on which the key was first seen, YYYY-MM-DD, after the "
               "pin";
    while (!why && (word = strtok_r(NULL, " \t", &r->rest)))
        why = read_option(r, word);
    if (!why && k->refused && k->from == LEARNED_PINS_URL)
        return "a key from pins_url is never refused: remove one of the two words";
    if (!why && k->via.known && k->from != LEARNED_PINS_URL)
        return "only a key with from=pins_url depends on another pin: remove via=";
    return why;
}

size_t learnedkey_comment(const char *text)
{
    size_t i;

    for (i = 0; text[i]; i++)
        if (text[i] == '#' && (i == 0 || isblank((unsigned char)text[i - 1])))
            break;
    return i;
}

const char *learnedkey_parse(const char *text, struct learned_key *key, bool *is_key)
{
    const size_t end = learnedkey_comment(text);
    struct line_parser r = {.key = key};
    char *fields;
    const char *why;

    memset(key, 0, sizeof(*key));
    *is_key = strspn(text, " \t\r") < end;
    if (!*is_key)
        return NULL;
    fields = xstrndup(text, end);
    /* an editor of another system ends lines in CR LF */
    if (end == strlen(text) && fields[end - 1] == '\r')
        fields[end - 1] = '\0';
    r.rest = fields;
    why = read_fields(&r);
    free(fields);
    return why;
}

char *learnedkey_format(const struct learned_key *k)
{
    char pin[PIN_KEY_TEXT_SIZE], seen[UNITS_DATE_SIZE], until[UNITS_DATE_SIZE];
    char via[PIN_TEXT_SIZE] = "";

    pin_format_key(k->digest, pin);
    units_format_date(k->first_seen, seen);
    units_format_date(k->until, until);
    if (k->via.known)
        pin_format(k->via.role, k->via.kind, k->via.digest, via);
    return xasprintf("%s %s %s %s from=%s%s%s%s%s%s", k->section, k->hostport, pin, seen,
                     learnedkey_origin(k->from), k->until ? " until=" : "", k->until ? until : "",
                     k->refused ? " refused" : "", *via ? " via=" : "", via);
}

bool learnedkey_same(const struct learned_key *a, const struct learned_key *b)
{
    return strcasecmp(a->hostport, b->hostport) == 0 && a->from == b->from
           && memcmp(a->digest, b->digest, CERT_DIGEST_SIZE) == 0;
}

bool learnedkey_same_via(const struct learned_via *a, const struct learned_via *b)
{
    if (!a->known || !b->known)
        return a->known == b->known;
    return a->role == b->role && a->kind == b->kind
           && memcmp(a->digest, b->digest, CERT_DIGEST_SIZE) == 0;
}

bool learnedkey_equal(const struct learned_key *a, const struct learned_key *b)
{
    return strcmp(a->section, b->section) == 0 && strcmp(a->hostport, b->hostport) == 0
           && memcmp(a->digest, b->digest, CERT_DIGEST_SIZE) == 0 && a->first_seen == b->first_seen
           && a->until == b->until && a->from == b->from && a->refused == b->refused
           && learnedkey_same_via(&a->via, &b->via);
}
