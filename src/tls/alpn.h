/* Application-Layer Protocol Negotiation (RFC 7301) of a client. */
#ifndef TLS_ALPN_H
#define TLS_ALPN_H

#include <stdbool.h>

#include "config/section.h"

struct ssl_st; /* OpenSSL's SSL */

/* Offers these protocols in this order. Returns false if memory is short. */
bool alpn_offer(struct ssl_st *ssl, const struct config_strings *protocols);

#endif
