/* Translates the errors of OpenSSL into a reason and a text for an administrator. */
#ifndef TLS_TLSERR_H
#define TLS_TLSERR_H

#include <stdbool.h>

#include "base/reason.h"

#define TLSERR_TEXT_SIZE 192

struct ssl_st; /* OpenSSL's SSL */

/*
 * Returns true if the oldest error says that the stream ended without close_notify. The error queue
 * is unchanged.
 */
bool tlserr_is_end(void);

/*
 * Returns the reason of the call that has just failed, and writes a text about it. The oldest error
 * of libssl decides, even if other libraries have reported errors before it. Removes errors from
 * the queue. asked is true if the server has asked for a client certificate: an alert may then be
 * its answer to that certificate, or to the absence of one.
 */
enum reason tlserr_reason(const struct ssl_st *ssl, bool asked, char text[TLSERR_TEXT_SIZE]);

/*
 * Returns a static text about a connection that the server has closed, or reset, during the
 * handshake. heard is true if the server had sent something. Otherwise it may be waiting for
 * another protocol.
 */
const char *tlserr_loss(bool is_reset, bool heard);

#endif
