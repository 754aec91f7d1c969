/* Files that pins are made from: certificates, requests and keys, PEM or DER. */
#ifndef PIN_KEYFILE_H
#define PIN_KEYFILE_H

#include <stddef.h>

#include "base/file.h"
#include "pin/cert.h"

enum keyfile_kind {
    KEYFILE_CERTIFICATE,
    KEYFILE_REQUEST,
    KEYFILE_PUBLIC_KEY,
    KEYFILE_PRIVATE_KEY,
};

struct keyfile_item {
    enum keyfile_kind kind;
    unsigned line; /* of its PEM block; 0: the file is DER */
    uint8_t key[CERT_DIGEST_SIZE];
    struct cert_info cert; /* for KEYFILE_CERTIFICATE only, else empty */
    unsigned char *der;    /* likewise: the certificate itself */
    size_t der_len;
};

struct keyfile {
    struct keyfile_item *items;
    size_t count;
    unsigned wrong_line; /* after an error, where it is; 0: in no particular line */
};

/*
 * Reads all of a file. Returns NULL and fills in *out, to be freed with keyfile_free(), or returns
 * what is wrong, a phrase that follows the path and out->wrong_line. Nothing in a file is skipped
 * but text around PEM blocks (pem.h) and blocks of mere parameters: a block that is none of the
 * kinds above is an error.
 */
const char *keyfile_read(const char *path, enum file_origin origin, struct keyfile *out);

/* Parses len bytes at data in the same way. */
const char *keyfile_parse(const char *data, size_t len, struct keyfile *out);

/*
 * Looks for a chain in a file. Returns the index of a certificate that another one of the file
 * issued, and that issued none itself where there is one, with that other's index in *issuer; or
 * f->count if none issued another.
 */
size_t keyfile_find_chain(const struct keyfile *f, size_t *issuer);

void keyfile_free(struct keyfile *f);

const char *keyfile_kind_name(enum keyfile_kind kind);

#endif
