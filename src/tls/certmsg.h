/*
 * Checks Certificate and CertificateRequest messages before OpenSSL parses them. A Certificate
 * message may have a raw public key in place of certificates (RFC 7250).
 *
 * OpenSSL decodes the public key of every certificate before it calls back. A server without any
 * key can make that expensive: 230 small certificates take 15 ms. One curve with explicit
 * parameters of the server's choice takes as long, because a compressed point needs a square root.
 * A request for a client certificate may list names of CAs, which OpenSSL stores for the life of
 * the connection: 64 KiB of short names take 5 ms and 3 MiB, in TLS 1.3 before the server has
 * proved its key.
 */
#ifndef TLS_CERTMSG_H
#define TLS_CERTMSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The maximum number of certificates that a server may send. */
#define CERTMSG_CERTIFICATES_MAX 32

/*
 * The maximum length of a request for a client certificate. Other programs have the same
 * (Schannel).
 */
#define CERTMSG_REQUEST_MAX (16 * 1024)

/*
 * Checks a whole handshake message, header included (RFC 5246 sections 7.4.2 and 7.4.4; for TLS 1.3
 * RFC 8446 sections 4.4.2 and 4.3.2). is_raw_key: the server has chosen to send a raw public key. Returns NULL if OpenSSL may parse it, also for other types;
 * or a static text that says why not.
 */
const char *certmsg_check(const uint8_t *message, size_t n, bool is_tls13, bool is_raw_key);

#endif
