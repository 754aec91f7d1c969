#include "pin/pinvalue.h"

#include <ctype.h>
#include <string.h>

#include "base/foreign.h"
#include "base/units.h"
#include "base/util.h"
#include "pin/digest.h"
#include "pin/keyfile.h"

#define KEY_PREFIX "sha256//"
#define CERT_PREFIX "cert:sha256:"
#define ISSUER_PREFIX "issuer:"
#define ISSUER_CERT_PREFIX "issuer-cert:"

/* A value while it is read. Its pins are added to list, from the index first. */
struct pinvalue {
    const char *dir;
    struct arena *arena;
    struct pin_list *list;
    size_t first;
    bool revoked;
    enum pin_role role;
};

/* Adds a pin to the list. item and file: those that it was read from, or NULL. */
static const char *add_pin(struct pinvalue *r, enum pin_kind kind,
                           const uint8_t digest[CERT_DIGEST_SIZE], const struct keyfile_item *item,
                           const char *file)
{
    struct pin new = {.role = r->role, .kind = kind, .file = file}, *pin;
    char text[PIN_TEXT_SIZE];
    size_t i;

    memcpy(new.digest, digest, CERT_DIGEST_SIZE);
    for (i = 0; i < r->list->count; i++)
        if (pin_equal(&r->list->items[i], &new))
            return "a duplicate: the same one is here already, remove one of the two";
    pin_format(r->role, kind, digest, text);

    r->list->items = arena_grow(r->arena, r->list->items, r->list->count, sizeof(*pin));
    pin = &r->list->items[r->list->count++];
    *pin = new;
    pin->text = arena_strdup(r->arena, text);
    if (item && item->cert.subject)
        pin->subject = arena_strdup(r->arena, item->cert.subject);
    if (item && item->der) {
        /* chains are built with an issuer's, which servers need not send */
        pin->der = memcpy(arena_alloc(r->arena, item->der_len), item->der, item->der_len);
        pin->der_len = item->der_len;
    }
    return NULL;
}

static const char *read_key_digest(struct pinvalue *r, const char *text, size_t n)
{
    uint8_t digest[CERT_DIGEST_SIZE];
    const char *why = digest_read_base64(text, n, digest);

    return why ? why : add_pin(r, PIN_KEY, digest, NULL, NULL);
}

/* "sha256//A" or, as curl writes it, "sha256//A;sha256//B". */
static const char *read_key_digests(struct pinvalue *r, const char *text)
{
    const char *why = NULL, *end;
    size_t n;

    for (; !why && *text; text = end) {
        if (!starts_with(text, KEY_PREFIX))
            return "after ';' another sha256//BASE64 is expected";
        text += strlen(KEY_PREFIX);
        end = strchrnul(text, ';');
        if (*end && r->role == PIN_ISSUER)
            return "write each issuer's pin as a value of its own";
        n = (size_t)(end - text);
        why = read_key_digest(r, text, n);
        if (*end == ';' && *++end == '\0')
            return "after ';' another sha256//BASE64 is expected";
    }
    return why;
}

static const char *read_cert_digest(struct pinvalue *r, const char *text)
{
    uint8_t digest[CERT_DIGEST_SIZE];
    const char *why = digest_read_hex(text, strlen(text), digest);

    return why ? why : add_pin(r, PIN_CERT, digest, NULL, NULL);
}

/* Returns what is wrong with a file that a pin names. line: where, or 0 for all of the file. */
static const char *at_line(struct pinvalue *r, const char *file, unsigned line, const char *why)
{
    return line ? arena_printf(r->arena, "%s:%u: %s", file, line, why)
                : arena_printf(r->arena, "%s: %s", file, why);
}

/* Refuses a chain: one of its certificates is meant, and the others are those of CAs. */
static const char *check_chain(struct pinvalue *r, const char *file, const struct keyfile *f)
{
    size_t issuer = 0;
    const size_t issued = keyfile_find_chain(f, &issuer);

    if (issued == f->count)
        return NULL;
    if (r->revoked)
        return at_line(r, file, f->items[issued].line,
                       arena_printf(r->arena,
                                    "the file is a chain: the certificate in line %u has issued "
                                    "this one, and a CA that is revoked revokes all that it "
                                    "issued: put the one block that you mean into a file of its "
                                    "own",
                                    f->items[issuer].line));
    return at_line(
        r, file, f->items[issued].line,
        r->role == PIN_ISSUER
            ? arena_printf(
                r->arena,
                "the file is a chain: the CA in line %u has issued this one, so a pin "
                "of both is a pin of that CA: put the one block that you mean into a file "
                "of its own",
                f->items[issuer].line)
            : arena_printf(r->arena,
                           "the file is a chain: the certificate in line %u, which is not the "
                           "server's, has issued this one: put the block that begins here into a "
                           "file of its own; a CA is pinned by issuer-cert:FILE",
                           f->items[issuer].line));
}

static const char *read_pin_file(struct pinvalue *r, enum pin_kind kind, const char *path)
{
    const char *file = file_resolve(r->arena, r->dir, path), *why;
    struct keyfile f;
    size_t i;

    if (!*path)
        return "a file name is missing";
    if (strncasecmp(path, "sha256:", 7) == 0 || strncasecmp(path, "sha256/", 7) == 0)
        return "a digest is written sha256//BASE64 for a key, cert:sha256:HEX for a certificate, and "
               "with issuer: or issuer- before it for a CA's (write a file of this name as "
               "./sha256...)";
    why = keyfile_read(file, r->dir ? FILE_CONFIGURED : FILE_ARGUMENT, &f);
    if (why)
        return at_line(r, file, f.wrong_line, why);
    for (i = 0; !why && i < f.count; i++) {
        const struct keyfile_item *item = &f.items[i];

        if (item->kind == KEYFILE_PRIVATE_KEY)
            why =
                "a private key must not be near a configuration: pin its public key, as 'pinproxy "
                "hash FILE' prints it, and move the file away";
        else if (kind == PIN_CERT && item->kind != KEYFILE_CERTIFICATE)
            why = r->role == PIN_ISSUER
                      ? "issuer-cert: takes a CA's certificate"
                      : "cert: takes a certificate; for a key or a CSR use key:FILE";
        else if (r->role == PIN_ISSUER && !item->cert.is_ca)
            why = "this certificate is not a CA's, so it cannot have issued any: pin a server's as "
                  "cert:FILE";
        else
            why = add_pin(r, kind, kind == PIN_CERT ? item->cert.digests.cert : item->key, item,
                          file);
        if (why)
            why = at_line(r, file, item->line, why);
    }
    if (!why)
        why = check_chain(r, file, &f);
    keyfile_free(&f);
    return why;
}

static bool starts_with_word(const char *text, const char *word)
{
    return strncasecmp(text, word, strlen(word)) == 0;
}

/* Returns whether a text begins as a pin does, in any of its forms. */
static bool begins_as_pin(const char *text)
{
    static const char *const forms[] = {KEY_PREFIX, "cert:", "key:", ISSUER_PREFIX,
                                        ISSUER_CERT_PREFIX};
    size_t i;

    for (i = 0; i < COUNT_OF(forms); i++)
        if (starts_with_word(text, forms[i]) && isgraph((unsigned char)text[strlen(forms[i])]))
            return true;
    return false;
}

/* Returns whether a pin follows any of these separators, with spaces before it or without. */
static bool has_pin_behind(const char *text, const char *separators)
{
    for (; (text = strpbrk(text, separators)); text++)
        if (begins_as_pin(text + 1 + strspn(text + 1, " \t")))
            return true;
    return false;
}

/* Returns whether a text begins as a digest of MD5 or SHA-1, in any form and case. */
static bool names_weak_digest(const char *text)
{
    static const char *const forms[] = {
        "md5",        "sha1",        "cert:md5:",        "cert:sha1:",
        "issuer:md5", "issuer:sha1", "issuer-cert:md5:", "issuer-cert:sha1:"};
    size_t i;

    for (i = 0; i < COUNT_OF(forms); i++)
        if (starts_with_word(text, forms[i]))
            return true;
    return false;
}

static const char *read_issuer_form(struct pinvalue *r, const char *text)
{
    r->role = PIN_ISSUER;
    if (starts_with(text, ISSUER_PREFIX KEY_PREFIX))
        return read_key_digests(r, text + strlen(ISSUER_PREFIX));
    if (starts_with(text, ISSUER_PREFIX))
        return "issuer: takes sha256//BASE64; for a file use issuer-cert:FILE";
    text += strlen("issuer-");
    if (starts_with(text, CERT_PREFIX))
        return read_cert_digest(r, text + strlen(CERT_PREFIX));
    return read_pin_file(r, PIN_CERT, text + strlen("cert:"));
}

static const char *read_form(struct pinvalue *r, const char *text)
{
    static const char certificates_change[] =
        "revoke the key, as sha256//BASE64 or key:FILE: the digest of a certificate can be changed "
        "without breaking its signature";
    const char *advice;

    if (starts_with(text, KEY_PREFIX))
        return read_key_digests(r, text);
    if (starts_with(text, "key:"))
        return read_pin_file(r, PIN_KEY, text + 4);
    if ((starts_with(text, "cert:") || starts_with(text, ISSUER_CERT_PREFIX)) && r->revoked)
        return certificates_change;
    if (starts_with(text, CERT_PREFIX))
        return read_cert_digest(r, text + strlen(CERT_PREFIX));
    if (names_weak_digest(text))
        return "MD5 and SHA-1 digests can be forged: use SHA-256, as 'pinproxy hash' prints it";
    if (starts_with(text, "cert:"))
        return read_pin_file(r, PIN_CERT, text + 5);
    if (!r->revoked && (starts_with(text, ISSUER_PREFIX) || starts_with(text, ISSUER_CERT_PREFIX)))
        return read_issuer_form(r, text);
    if (starts_with_word(text, KEY_PREFIX))
        return "sha256// is written in lower case";
    advice = foreign_pin(text);
    if (advice)
        return advice;
    return r->revoked ? "expected sha256//BASE64 or key:FILE, for the key of a server or of a CA"
                      : "expected sha256//BASE64, cert:sha256:HEX, cert:FILE, key:FILE, "
                        "issuer:sha256//BASE64, issuer-cert:sha256:HEX or issuer-cert:FILE";
}

/*
 * Removes the last word of the text if it is "PREFIX...", and returns the part after the prefix; or
 * returns NULL. It begins at the end, so that file names may have spaces.
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

/* Returns whether the text begins with this word and '=' or ':', with spaces or without. */
static bool is_assigned(const char *text, const char *word)
{
    const size_t n = strlen(word);

    return strncasecmp(text, word, n) == 0 && strspn(text + n + strspn(text + n, " \t"), "=:") > 0;
}

/* Returns whether until= or name= was meant after the pin: "name = WORD", "name=two words". */
static bool has_suffix_left(const char *text)
{
    for (; *text; text++)
        if (isspace((unsigned char)*text)
            && (is_assigned(text + 1, "until") || is_assigned(text + 1, "name")))
            return true;
    return false;
}

static const char *check_pin_name(const char *name)
{
    const char *p;

    for (p = name; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("-_.", *p))
            break;
    if (p == name || *p || p - name > 64)
        return "name= takes a word of letters, digits, '-', '_' and '.', at most 64 long";
    return NULL;
}

static const char *read_value(struct pinvalue *r, const char *value)
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
            return "until= and name= may each appear once after a pin";
        else
            break;
    }
    if (until && (why = units_date(until, &seconds)))
        return arena_printf(r->arena, "until= takes %s", why);
    if (until && seconds <= 0) /* 0 means no end */
        return "until= must be after 1970-01-01";
    if (name && (why = check_pin_name(name)))
        return why;
    if (has_pin_behind(text + strspn(text, " \t"), " \t,"))
        return "one pin a line: write the second one on an indented line below";
    why = read_form(r, text);
    if (why && !r->revoked && has_suffix_left(text))
        return "only until=YYYY-MM-DD and name=WORD may follow a pin, in lower case and without spaces "
               "in them";
    if (why)
        return why;
    for (i = r->first; i < r->list->count; i++) {
        r->list->items[i].until = seconds;
        r->list->items[i].name = name;
    }
    return NULL;
}

bool pinvalue_in_comment(const char *comment)
{
    return has_pin_behind(comment, ";") || foreign_comment(comment, "until= name=");
}

static const char *parse(const char *value, const char *dir, struct arena *arena,
                         struct pin_list *list, bool revoked)
{
    struct pinvalue r = {
        .dir = dir, .arena = arena, .list = list, .first = list->count, .revoked = revoked};
    const char *why = read_value(&r, value);

    /* arena_grow() needs the exact count; the memory of what was added stays in the arena */
    if (why)
        list->count = r.first;
    return why;
}

const char *pinvalue_parse(const char *value, const char *dir, struct arena *arena,
                           struct pin_list *list)
{
    return parse(value, dir, arena, list, false);
}

const char *pinvalue_parse_revoked(const char *value, const char *dir, struct arena *arena,
                                   struct pin_list *list)
{
    return parse(value, dir, arena, list, true);
}
