/*
 * What a TLS context offers to servers: checked by the ClientHello that it makes (RFC 8446
 * section 4.1.2), for OpenSSL accepts settings that leave nothing to offer, and passes over names
 * that it does not know.
 */
#ifndef TLS_TLSOFFER_H
#define TLS_TLSOFFER_H

#include <stdbool.h>

#include "config/diag.h"
#include "config/section.h"

struct ssl_ctx_st; /* OpenSSL's SSL_CTX */

/*
 * Checks that the context, made with these settings, can make a connection, and that whatever the
 * settings name is offered. Returns whether it is so; if not, it adds to problems what is not
 * offered, and why.
 */
bool tlsoffer_check(struct ssl_ctx_st *ctx, const struct config_tls_settings *settings,
                    struct diag_list *diags);

#endif
