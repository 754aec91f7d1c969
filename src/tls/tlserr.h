/* OpenSSL's errors of a connection, in words for an administrator. */
#ifndef TLS_TLSERR_H
#define TLS_TLSERR_H

#include <stdbool.h>

#include "base/reason.h"

#define TLSERR_TEXT_SIZE 192

struct ssl_st; /* OpenSSL's SSL */

/*
 * Returns whether the oldest error says that the stream ended where TLS does not. Leaves the queue
 * alone.
 */
bool tlserr_is_end(void);

/*
 * Puts the errors of the call that has just failed into words, and returns the reason. The oldest
 * error of TLS decides, whatever other libraries said before it. Uses up errors of the queue.
 */
enum reason tlserr_reason(const struct ssl_st *ssl, char words[TLSERR_TEXT_SIZE]);

/*
 * Returns what to say of a connection that the server has closed, or reset, in the handshake: a
 * literal. heard: it had sent something. If not, it may be waiting for another protocol.
 */
const char *tlserr_loss(bool is_reset, bool heard);

#endif
