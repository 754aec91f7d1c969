/*
 * The reader of PEM files (RFC 7468), the only one of this program. It accounts for every byte: a
 * file is PEM blocks, white space, and text that cannot be taken for a block. A block that is
 * indented, quoted, cut short or damaged is an error. It is never passed over, as OpenSSL does.
 */
#ifndef PIN_PEM_H
#define PIN_PEM_H

#include <stdbool.h>
#include <stddef.h>

#define PEM_LABEL_SIZE 64

/* A file while it is read. The bytes are borrowed. */
struct pem_reader {
    const char *next;
    const char *end;
    unsigned line; /* the number of the last line read, from 1; after an error, the line at fault */
};

struct pem_block {
    char label[PEM_LABEL_SIZE]; /* "CERTIFICATE" */
    unsigned line;              /* of its BEGIN line */
    bool encrypted;             /* its header says so (RFC 1421) */
    unsigned char *der;         /* what the base64 stands for; the caller frees the block */
    size_t len;
};

/* Returns whether len bytes at data are to be read as PEM, not as DER: they hold a BEGIN line. */
bool pem_is_text(const char *data, size_t len);

/* Starts to read len bytes at data. */
void pem_start(struct pem_reader *r, const char *data, size_t len);

/*
 * Reads the next block into *block, which is to be freed with pem_block_free(). Returns NULL, and
 * leaves block->der NULL after the last block; or returns what is wrong in r->line, a phrase.
 */
const char *pem_next(struct pem_reader *r, struct pem_block *block);

/* Wipes and frees the bytes of a block; it may have been a private key. */
void pem_block_free(struct pem_block *block);

#endif
