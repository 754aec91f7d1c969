/*
 * Recognizes the first bytes of a TLS client. A client that starts TLS itself must be refused: its
 * ClientHello would be sent as plaintext inside TLS, which no server understands.
 */
#ifndef TLS_CLIENTHELLO_H
#define TLS_CLIENTHELLO_H

#include <stddef.h>
#include <stdint.h>

enum clienthello {
    CLIENTHELLO_NO,      /* no, whatever follows */
    CLIENTHELLO_PARTIAL, /* perhaps: more bytes are needed */
    CLIENTHELLO_YES,     /* yes, whatever follows */
};

/* With this many bytes or more, the result is never CLIENTHELLO_PARTIAL. */
#define CLIENTHELLO_SIZE 11

/*
 * Checks if n bytes are the beginning of a ClientHello: in a record of SSL 3.0 to TLS 1.3 (RFC
 * 8446 sections 4 and 5.1), or in the form of SSL 2.0 (RFC 5246 appendix E.2).
 */
enum clienthello clienthello_check(const uint8_t *bytes, size_t n);

#endif
