/*
 * The library context (OSSL_LIB_CTX(3)) that TLS connections take their algorithms from: OpenSSL's
 * default provider, without the decoders that a server's certificate has no use for.
 *
 * OpenSSL 3.0 and 3.1 set up every decoder there is to read the public key of every certificate: an
 * eighth of what a new connection costs. From 3.2 on they are cached, and there is nothing to gain.
 */
#ifndef TLS_LIBCTX_H
#define TLS_LIBCTX_H

struct ossl_lib_ctx_st; /* OpenSSL's OSSL_LIB_CTX */

/*
 * The process's one, made when it is first asked for. NULL, which is OpenSSL's own default context:
 * where there is nothing to gain, where the administrator has OpenSSL use other providers
 * (openssl.cnf(5)), which may do as they please, or where it cannot be made. What openssl.cnf says
 * of random numbers holds for the default context alone: here they are OpenSSL's own default,
 * seeded by the system.
 */
struct ossl_lib_ctx_st *libctx(void);

#endif
