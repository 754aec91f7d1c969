/*
 * The Certificate message, checked before OpenSSL parses it.
 *
 * OpenSSL decodes the public key of every certificate in the message before it asks anyone. A server can
 * make that expensive without holding any key: 230 small certificates take 15 ms; one curve with explicit
 * parameters of the server's own making takes as long, for a compressed point needs a square root.
 */
#ifndef ENGINE_CERTMSG_H
#define ENGINE_CERTMSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The maximum number of certificates that a server may send. */
#define CERTMSG_CERTIFICATES_MAX 32

/*
 * Checks a whole handshake message, header included (RFC 5246 section 7.4.2; for TLS 1.3 RFC 8446 section
 * 4.4.2). Returns NULL if OpenSSL may parse it, or a message of another type; or a literal that says why not.
 */
const char *certmsg_check(const uint8_t *message, size_t n, bool is_tls13);

#endif
