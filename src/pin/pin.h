/*
 * Pins, which certificates are compared with. pin_matches() is the one comparison of a pin with a
 * certificate, and pin_equal() that of a pin with a pin. pinvalue.h parses them.
 */
#ifndef PIN_PIN_H
#define PIN_PIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pin/cert.h"

/* The certificate that a pin is for ... */
enum pin_role {
    PIN_SERVER, /* the server's own */
    PIN_ISSUER, /* of a CA that issued, by verified signatures, the chain under the server's */
};

/* ... and the part of it that the digest is taken over. */
enum pin_kind {
    PIN_KEY,  /* the public key */
    PIN_CERT, /* the exact certificate */
};

/* The source of a pin. */
enum pin_origin {
    PIN_CONFIGURED, /* its configuration */
    PIN_FIRST_USE,  /* learned: the key that was seen first (verify = tofu) */
    PIN_ANNOUNCED,  /* learned: the host has announced the key (pins_url) */
};

struct pin {
    enum pin_role role;
    enum pin_kind kind;
    enum pin_origin origin;
    uint8_t digest[CERT_DIGEST_SIZE];
    int64_t until;       /* not accepted from this second on; 0: no end */
    const char *name;    /* the name that logs use; NULL: its text */
    const char *text;    /* the configuration's own form: sha256//..., issuer-cert:sha256:... */
    const char *subject; /* of the file it was read from, if that held a certificate; or NULL */
    const char *file;    /* that file, or NULL */
    const uint8_t *der;  /* the certificate in that file, or NULL */
    size_t der_len;

    /* used by learned pins only */
    int64_t first_seen;    /* the day on which it was learned, in seconds since the epoch */
    const struct pin *via; /* of an announced one: the configured pin that it depends on, or NULL */
};

struct pin_list {
    struct pin *items;
    size_t count;
};

/* The pins of a list that match a certificate. */
struct pin_match {
    const struct pin *live;    /* the first that is accepted, or NULL */
    const struct pin *expired; /* the last before it that is not accepted any more, or NULL */
};

/* Returns a pin of this role and kind, without a name and without an end. */
struct pin pin_make(enum pin_role role, enum pin_kind kind, const uint8_t digest[CERT_DIGEST_SIZE]);

/*
 * Returns whether a certificate that has this role in a connection is the one that a pin means: the
 * pin is of this role, and its digest is the certificate's or that of its key, as the pin's kind
 * says. A raw public key, which has no certificate, matches pins of keys alone. Every comparison of
 * a pin with a certificate is made here.
 */
bool pin_matches(const struct pin *pin, enum pin_role role, const struct cert_digests *cert);

/* The same for a certificate whose digests are not known yet. Returns false if memory is short. */
bool pin_matches_cert(const struct pin *pin, enum pin_role role, const struct x509_st *cert);

/* Returns whether a pin is of this key, in whichever role. */
bool pin_is_of_key(const struct pin *pin, const uint8_t key[CERT_DIGEST_SIZE]);

/*
 * Adds a pin that matches to *match, as the live one or as an expired one at this time (seconds
 * since the epoch).
 */
void pin_match_add(struct pin_match *match, const struct pin *pin, int64_t now);

/*
 * Reads a pin that is written as a digest, in one of the four forms of pin_format(); hex digits may
 * be of either case and have colons between all bytes. Returns NULL and fills in the role, the kind
 * and the digest of *pin, or returns what is wrong.
 */
const char *pin_read(const char *text, struct pin *pin);

/* The size of "sha256//" and 44 characters of base64, with a NUL. */
#define PIN_KEY_TEXT_SIZE 56
void pin_format_key(const uint8_t digest[CERT_DIGEST_SIZE], char out[PIN_KEY_TEXT_SIZE]);

/* The size of "cert:sha256:" and 64 hex digits, with a NUL. */
#define PIN_CERT_TEXT_SIZE 80
void pin_format_cert(const uint8_t digest[CERT_DIGEST_SIZE], char out[PIN_CERT_TEXT_SIZE]);

/* The size of any pin in the configuration's own form; the longest is "issuer-cert:sha256:...". */
#define PIN_TEXT_SIZE 88
void pin_format(enum pin_role role, enum pin_kind kind, const uint8_t digest[CERT_DIGEST_SIZE],
                char out[PIN_TEXT_SIZE]);

/* Returns whether two pins are the same, with whatever names and dates. */
bool pin_equal(const struct pin *a, const struct pin *b);

/*
 * Returns whether a pin was read from the certificate of a CA: one with the CA flag that another CA
 * has issued, or one that has issued the certificate of another pin of the list, by its signature.
 */
bool pin_is_of_ca(const struct pin_list *list, const struct pin *pin);

/* Returns whether a pin was read from the certificate of a CA that another CA has issued. */
bool pin_is_of_intermediate(const struct pin *pin);

/* Returns the first pin of a role in a list, or NULL. */
const struct pin *pin_first(const struct pin_list *list, enum pin_role role);

/* Returns whether the pin is no longer accepted at this time, in seconds since the epoch. */
bool pin_is_expired(const struct pin *pin, int64_t now);

/* Returns the pin's name, or its text if it has none. */
const char *pin_label(const struct pin *pin);

/*
 * Writes to text, of size bytes, that a pin is written as the server's own but is that of a CA, and
 * how a CA is pinned. subject: the CA's, or NULL.
 */
void pin_describe_misplaced(const struct pin *pin, const char *subject, char *text, size_t size);

#endif
