/*
 * TLS contexts, shared by all sections with the same settings. A context holds no trust: each
 * connection judges its server (tls.h).
 */
#ifndef TLS_TLSCTX_H
#define TLS_TLSCTX_H

#include "config/diag.h"
#include "config/section.h"

struct clientcert;
struct ssl_ctx_st; /* OpenSSL's SSL_CTX */
struct tlsctx_set;

/* A set of contexts, one for each combination of settings. It owns them. */
struct tlsctx_set *tlsctx_set_new(void);
void tlsctx_set_free(struct tlsctx_set *set);

/*
 * Returns the context with the TLS settings of a section (section->tls alone), which lives as long
 * as the set. Creates it if the set has none. Returns NULL after adding to diags what OpenSSL does
 * not accept.
 */
struct ssl_ctx_st *tlsctx_get(struct tlsctx_set *set, const struct config_section *section,
                              struct diag_list *diags);

/*
 * Returns the client certificate of a context, which lives as long as the context, or NULL if it
 * has none.
 */
const struct clientcert *tlsctx_client_cert(struct ssl_ctx_st *ctx);

/*
 * Returns the name of the first suite with finite-field Diffie-Hellman that a context with these
 * settings offers, or "an ffdhe group", or NULL if it offers none, which is the default. The text
 * is static. A server can make each handshake with one of these cost many times as much as others.
 */
const char *tlsctx_finite_field(struct ssl_ctx_st *ctx, const struct config_tls_settings *settings);

#endif
