/* Files that pins are made from: certificates, requests and keys, PEM or DER. */
#ifndef PIN_KEYFILE_H
#define PIN_KEYFILE_H

#include <stddef.h>

#include "base/file.h"
#include "pin/cert.h"

enum pinfile_kind {
    PINFILE_CERTIFICATE,
    PINFILE_REQUEST,
    PINFILE_PUBLIC_KEY,
    PINFILE_PRIVATE_KEY,
};

struct pinfile_item {
    enum pinfile_kind kind;
    unsigned line; /* of its PEM block; 0: the file is DER */
    uint8_t key[CERT_DIGEST_SIZE];
    struct cert_info cert; /* for PINFILE_CERTIFICATE only, else empty */
    unsigned char *der;    /* likewise: the certificate itself */
    size_t der_len;
};

struct pinfile {
    struct pinfile_item *items;
    size_t count;
    unsigned wrong_line; /* after an error, where it is; 0: in no particular line */
};

/*
 * Reads all of a file. Returns NULL and fills in *out, to be freed with pinfile_free(), or returns
 * what is wrong, a phrase that follows the path and out->wrong_line. Nothing in a file is skipped
 * but text around PEM blocks (pem.h) and blocks of mere parameters: a block that is none of the
 * kinds above is an error.
 */
const char *pinfile_read(const char *path, enum file_origin origin, struct pinfile *out);

/* Parses len bytes at data in the same way. */
const char *pinfile_parse(const char *data, size_t len, struct pinfile *out);

/*
 * Looks for a chain in a file. Returns the index of a certificate that another one of the file
 * issued, and that issued none itself where there is one, with that other's index in *issuer; or
 * f->count if none issued another.
 */
size_t pinfile_find_chain(const struct pinfile *f, size_t *issuer);

void pinfile_free(struct pinfile *f);

const char *pinfile_kind_name(enum pinfile_kind kind);

#endif
