/* Files that pins are made from: certificates, requests (CSR) and keys, in PEM or DER. */
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
    unsigned line; /* the first of its PEM block; 0: the file is DER */
    uint8_t key[CERT_DIGEST_SIZE];
    struct cert_info cert; /* of KEYFILE_CERTIFICATE; else empty */
    unsigned char *der;    /* of KEYFILE_CERTIFICATE: the certificate itself; else NULL */
    size_t der_len;
};

struct keyfile {
    struct keyfile_item *items;
    size_t count;
    unsigned wrong_line; /* after an error: the line that is wrong, or 0 if it is all of the file */
};

/*
 * Reads all of a file. Returns NULL and fills in *out, which the caller frees with keyfile_free();
 * or returns what is wrong, a phrase that follows the path and out->wrong_line. It skips text
 * around PEM blocks (pem.h) and blocks of parameters. A block of any other kind than those above is
 * an error.
 */
const char *keyfile_read(const char *path, enum file_origin origin, struct keyfile *out);

/* Reads len bytes at data as keyfile_read() reads a file. */
const char *keyfile_parse(const char *data, size_t len, struct keyfile *out);

/*
 * Looks for a chain in a file. Returns the index of a certificate that another one of the file has
 * issued, and sets *issuer to the index of that other one. If it can it returns one that has issued
 * none itself. Returns f->count, and leaves *issuer alone, if none has issued another.
 */
size_t keyfile_find_chain(const struct keyfile *f, size_t *issuer);

/* Frees what keyfile_read() has filled in. */
void keyfile_free(struct keyfile *f);

/* Returns the name of a kind: "certificate". */
const char *keyfile_kind_name(enum keyfile_kind kind);

#endif
