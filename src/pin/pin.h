/* Pins: how they are written, and what they are compared by. */
#ifndef PIN_PIN_H
#define PIN_PIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "pin/cert.h"

/* Whose it is ... */
enum pin_role {
    PIN_SERVER, /* the server's own */
    PIN_ISSUER, /* of a CA that issued, by verified signatures, the chain under the server's */
};

/* ... and what of it. */
enum pin_kind {
    PIN_KEY,  /* the public key */
    PIN_CERT, /* the exact certificate */
};

struct pin {
    enum pin_role role;
    enum pin_kind kind;
    uint8_t digest[CERT_DIGEST_SIZE];
    int64_t until;       /* not accepted from this second on; 0: no end */
    const char *name;    /* what logs call it; NULL: its text */
    const char *text;    /* the configuration's own form: sha256//..., issuer-cert:sha256:... */
    const char *subject; /* of the file it was read from, if that held a certificate; or NULL */
    const char *file;    /* that file, or NULL */
    const uint8_t *der;  /* the certificate in that file, or NULL */
    size_t der_len;
};

struct pin_list {
    struct pin *items;
    size_t count;
};

/*
 * Reads one value of the `pin` key (pinproxyd.conf(5)) and adds what it says to the list, in the
 * arena. Relative paths start at dir (NULL: the working directory). Returns NULL, or what is wrong
 * and what would be right; the list is then as it was.
 */
const char *pin_parse(const char *value, const char *dir, struct arena *arena,
                      struct pin_list *list);

/* Reads one value of the `revoked` key: keys only, without until= or name=. */
const char *pin_parse_revoked(const char *value, const char *dir, struct arena *arena,
                              struct pin_list *list);

/*
 * Checks whether a comment, from its ';' on, begins as a pin or as what follows one does, or
 * continues so behind another ';'. Behind a value of `pin` or `revoked` it was meant as a part of
 * the value, and a pin or its end would be lost with it.
 */
bool pin_in_comment(const char *comment);

/* "sha256//" and 44 characters of base64. */
#define PIN_KEY_TEXT_SIZE 56
void pin_format_key(const uint8_t digest[CERT_DIGEST_SIZE], char out[PIN_KEY_TEXT_SIZE]);

/* "cert:sha256:" and 64 hex digits. */
#define PIN_CERT_TEXT_SIZE 80
void pin_format_cert(const uint8_t digest[CERT_DIGEST_SIZE], char out[PIN_CERT_TEXT_SIZE]);

/* Any pin in the configuration's own form, the longest of which starts "issuer-cert:sha256:". */
#define PIN_TEXT_SIZE 88
void pin_format(enum pin_role role, enum pin_kind kind, const uint8_t digest[CERT_DIGEST_SIZE],
                char out[PIN_TEXT_SIZE]);

/* Whether they are the same, whatever they are called and however long they count. */
bool pin_equal(const struct pin *a, const struct pin *b);

/*
 * Returns whether a pin was read from the certificate of a CA: one with the CA flag that another CA
 * has issued, or one that has issued the certificate of another pin of the list, by its signature.
 */
bool pin_is_of_ca(const struct pin_list *list, const struct pin *pin);

/* The first pin of a role in a list, or NULL. */
const struct pin *pin_first(const struct pin_list *list, enum pin_role role);

/* Whether the pin is no longer accepted at this time. */
bool pin_is_expired(const struct pin *pin, int64_t now);

/* What to call it: its name, or its text. */
const char *pin_label(const struct pin *pin);

#endif
