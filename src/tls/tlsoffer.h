/*
 * Checks what a TLS context offers to servers, by the ClientHello that it writes (RFC 8446 section
 * 4.1.2). OpenSSL accepts settings that leave nothing to offer, and ignores names that it does not
 * know.
 */
#ifndef TLS_TLSOFFER_H
#define TLS_TLSOFFER_H

#include <stdbool.h>

#include "config/diag.h"
#include "config/section.h"

struct ssl_ctx_st; /* OpenSSL's SSL_CTX */

/*
 * Checks that a context with these settings can make a connection, and that it offers everything
 * that they name. Returns true if so. Otherwise it adds to diags what is not offered, and why.
 */
bool tlsoffer_check(struct ssl_ctx_st *ctx, const struct config_tls_settings *settings,
                    struct diag_list *diags);

/*
 * Explains why OpenSSL does not take a list. key: "groups" or "sigalgs". Returns a text about the
 * first name that it does not know or that is there twice, which the caller frees, or NULL.
 */
char *tlsoffer_explain(struct ssl_ctx_st *ctx, const char *key, const char *text);

#endif
