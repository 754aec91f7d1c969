/*
 * TLS contexts: what all connections with the same settings share. A context holds no trust: which
 * server may be spoken to is each connection's own matter (tls.h), so sections share contexts.
 */
#ifndef TLS_TLSCTX_H
#define TLS_TLSCTX_H

#include "config/diag.h"
#include "config/section.h"

struct ssl_ctx_st; /* OpenSSL's SSL_CTX */
struct tlsctx_set;

/* A set of contexts, at most one for each combination of settings. It owns them. */
struct tlsctx_set *tlsctx_set_new(void);
void tlsctx_set_free(struct tlsctx_set *set);

/*
 * Returns the context with the section's TLS settings (section->tls, and nothing else of it), which
 * it makes if the set has none yet. It lives as long as the set. Returns NULL after adding to diags
 * what OpenSSL does not accept.
 */
struct ssl_ctx_st *tlsctx_get(struct tlsctx_set *set, const struct config_section *section,
                              struct diag_list *diags);

/*
 * Returns what a context made with these settings offers of finite-field Diffie-Hellman: the name
 * of the first such suite, or "an ffdhe group"; NULL if nothing, as is the default. The text lives
 * as long as the library. A server can make each handshake with one of these cost many times what
 * others do.
 */
const char *tlsctx_finite_field(struct ssl_ctx_st *ctx, const struct config_tls_settings *settings);

#endif
