/*
 * The header of the PROXY protocol, by HAProxy's specification (proxy-protocol.txt, 2020/03/05). It
 * names a client to a server that sees a connection of the proxy. Bytes out: no socket, no callback.
 */
#ifndef PROXY_PROXYHEADER_H
#define PROXY_PROXYHEADER_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "config/section.h"

/* The longest line of version 1, with its NUL. No header of version 2 is longer. */
#define PROXYHEADER_MAX 108

/*
 * Makes the header for a client that has connected to a listener over TCP. For a Unix socket, and
 * for a connection of the proxy itself, where both addresses have len 0, it is UNKNOWN in version 1
 * and LOCAL in version 2: the server then uses the addresses of the connection. (The specification
 * has a family for Unix sockets, but HAProxy 2.6 closes a connection that uses it.) Returns the
 * number of bytes, which is 0 for SEND_PROXY_OFF.
 */
size_t proxyheader_make(enum config_send_proxy version, const struct addr *client,
                        const struct addr *listener, uint8_t out[PROXYHEADER_MAX]);

#endif
