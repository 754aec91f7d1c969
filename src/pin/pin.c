#include "pin/pin.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "pin/digest.h"

/* How a pin's text begins, by its role and kind. */
static const char *const prefixes[2][2] = {
    [PIN_SERVER] = {[PIN_KEY] = "sha256//", [PIN_CERT] = "cert:sha256:"},
    [PIN_ISSUER] = {[PIN_KEY] = "issuer:sha256//", [PIN_CERT] = "issuer-cert:sha256:"},
};

const char *pin_read(const char *text, struct pin *pin)
{
    int role, kind;

    for (role = PIN_SERVER; role <= PIN_ISSUER; role++)
        for (kind = PIN_KEY; kind <= PIN_CERT; kind++) {
            const char *digest = text + strlen(prefixes[role][kind]);

            if (!starts_with(text, prefixes[role][kind]))
                continue;
            pin->role = (enum pin_role)role;
            pin->kind = (enum pin_kind)kind;
            return kind == PIN_KEY ? digest_read_base64(digest, strlen(digest), pin->digest)
                                   : digest_read_hex(digest, strlen(digest), pin->digest);
        }
    return "expected sha256//BASE64, cert:sha256:HEX, issuer:sha256//BASE64 or "
           "issuer-cert:sha256:HEX";
}

/* Writes a pin to out, which has room for it. */
static void write_pin(enum pin_role role, enum pin_kind kind, const uint8_t *digest, char *out)
{
    const size_t n = strlen(prefixes[role][kind]);

    memcpy(out, prefixes[role][kind], n);
    if (kind == PIN_KEY)
        digest_write_base64(digest, out + n);
    else
        digest_write_hex(digest, out + n);
}

void pin_format(enum pin_role role, enum pin_kind kind, const uint8_t digest[CERT_DIGEST_SIZE],
                char out[PIN_TEXT_SIZE])
{
    write_pin(role, kind, digest, out);
}

void pin_format_key(const uint8_t digest[CERT_DIGEST_SIZE], char out[PIN_KEY_TEXT_SIZE])
{
    write_pin(PIN_SERVER, PIN_KEY, digest, out);
}

void pin_format_cert(const uint8_t digest[CERT_DIGEST_SIZE], char out[PIN_CERT_TEXT_SIZE])
{
    write_pin(PIN_SERVER, PIN_CERT, digest, out);
}

struct pin pin_make(enum pin_role role, enum pin_kind kind, const uint8_t digest[CERT_DIGEST_SIZE])
{
    struct pin pin = {.role = role, .kind = kind};

    memcpy(pin.digest, digest, CERT_DIGEST_SIZE);
    return pin;
}

bool pin_matches(const struct pin *pin, enum pin_role role, const struct cert_digests *cert)
{
    if (pin->role != role || (pin->kind == PIN_CERT && cert->is_raw_key))
        return false;
    return memcmp(pin->digest, pin->kind == PIN_KEY ? cert->key : cert->cert, CERT_DIGEST_SIZE)
           == 0;
}

bool pin_matches_cert(const struct pin *pin, enum pin_role role, const X509 *cert)
{
    struct cert_digests digests;

    return pin->role == role && cert_compute_digests(cert, &digests)
           && pin_matches(pin, role, &digests);
}

bool pin_is_of_key(const struct pin *pin, const uint8_t key[CERT_DIGEST_SIZE])
{
    return pin->kind == PIN_KEY && memcmp(pin->digest, key, CERT_DIGEST_SIZE) == 0;
}

void pin_match_add(struct pin_match *match, const struct pin *pin, int64_t now)
{
    if (pin_is_expired(pin, now))
        match->expired = pin;
    else
        match->live = pin;
}

bool pin_equal(const struct pin *a, const struct pin *b)
{
    return a->role == b->role && a->kind == b->kind
           && memcmp(a->digest, b->digest, CERT_DIGEST_SIZE) == 0;
}

static X509 *certificate_of(const struct pin *pin)
{
    const unsigned char *p = pin->der;

    return p ? d2i_X509(NULL, &p, (long)pin->der_len) : NULL;
}

bool pin_is_of_ca(const struct pin_list *list, const struct pin *pin)
{
    X509 *ca = certificate_of(pin), *cert;
    /* openssl-req(1) gives the CA flag to a server's certificate that signs itself */
    bool found = ca && X509_check_ca(ca) == 1 && X509_self_signed(ca, 0) != 1;
    size_t i;

    for (i = 0; ca && !found && i < list->count; i++) {
        cert = certificate_of(&list->items[i]);
        found = cert && cert_was_issued_by(cert, ca);
        X509_free(cert);
    }
    X509_free(ca);
    return found;
}

bool pin_is_of_intermediate(const struct pin *pin)
{
    X509 *ca = certificate_of(pin);
    const bool found = ca && X509_check_ca(ca) == 1
                       && X509_NAME_cmp(X509_get_subject_name(ca), X509_get_issuer_name(ca)) != 0;

    X509_free(ca);
    return found;
}

const struct pin *pin_first(const struct pin_list *list, enum pin_role role)
{
    size_t i;

    for (i = 0; i < list->count; i++)
        if (list->items[i].role == role)
            return &list->items[i];
    return NULL;
}

bool pin_is_expired(const struct pin *pin, int64_t now)
{
    return pin->until != 0 && now >= pin->until;
}

const char *pin_label(const struct pin *pin)
{
    return pin->name ? pin->name : pin->text;
}

void pin_describe_misplaced(const struct pin *pin, const char *subject, char *text, size_t size)
{
    const bool key = pin->kind == PIN_KEY;

    snprintf(text, size, "pin %s: this is the %s of %s%.150s: %s%s pins it", pin_label(pin),
             key ? "key" : "certificate", subject ? "the CA " : "a CA, not of the server",
             subject ? subject : "", key ? "issuer:" : "issuer-", pin->text);
}
