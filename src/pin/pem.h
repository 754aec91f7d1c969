/*
 * The reader of PEM files (RFC 7468), the only one of this program. It accounts for every byte: a
 * file has PEM blocks, white space, and text that cannot be mistaken for a block. A block that is
 * indented, quoted, cut short or damaged is an error. OpenSSL would skip it.
 */
#ifndef PIN_PEM_H
#define PIN_PEM_H

#include <stdbool.h>
#include <stddef.h>

#define PEM_LABEL_SIZE 64

/* A file while it is read. It borrows the bytes. */
struct pem_reader {
    const char *next;
    const char *end;
    unsigned line; /* the number of the last line read, from 1; after an error, the line at fault */
};

struct pem_block {
    char label[PEM_LABEL_SIZE]; /* "CERTIFICATE" */
    unsigned line;              /* of its BEGIN line */
    bool encrypted;             /* its header says so (RFC 1421) */
    unsigned char *der;         /* the decoded base64 */
    size_t len;
};

/* Returns whether len bytes at data have a BEGIN line, and so are PEM and not DER. */
bool pem_is_text(const char *data, size_t len);

/* Starts to read len bytes at data. */
void pem_start(struct pem_reader *r, const char *data, size_t len);

/*
 * Reads the next block into *block, which the caller frees with pem_block_free(). After the last
 * block it sets block->der to NULL. Returns NULL, or a phrase that says what is wrong in r->line.
 */
const char *pem_next(struct pem_reader *r, struct pem_block *block);

/* Wipes and frees the bytes of a block, which may have been a private key. */
void pem_block_free(struct pem_block *block);

#endif
