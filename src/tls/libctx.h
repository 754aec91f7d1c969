/*
 * The library context (OSSL_LIB_CTX(3)) of TLS connections: OpenSSL's default provider without the
 * decoders that no server certificate needs.
 *
 * OpenSSL 3.0 and 3.1 set up all decoders to read the public key of each certificate, which is an
 * eighth of the cost of a new connection. OpenSSL 3.2 and later cache them, and need no such
 * context.
 */
#ifndef TLS_LIBCTX_H
#define TLS_LIBCTX_H

struct ossl_lib_ctx_st; /* OpenSSL's OSSL_LIB_CTX */

/*
 * Returns the context of the process, which the first call creates. Returns NULL, OpenSSL's default
 * context, if OpenSSL needs none of its own, if openssl.cnf(5) configures other providers, or on
 * failure. Settings for random numbers in openssl.cnf do not apply to this context: it uses
 * OpenSSL's default generator, seeded by the system.
 */
struct ossl_lib_ctx_st *libctx(void);

#endif
