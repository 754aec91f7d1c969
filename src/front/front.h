/*
 * A front: the protocol that a client speaks before its bytes are the server's. It reads the
 * client's greeting, and writes the one answer to it: that the tunnel is open, or why there is
 * none. Bytes in, bytes out: a front knows no socket, no callback and no clock.
 *
 * A new front is one file here with its struct front_ops, and one line where snapshot.c chooses the
 * front of a front end. A front that has to rewrite what follows the greeting, as one for HTTP
 * would have to, would add two functions to front_ops, to_server and to_client, which relay.c would
 * call between the client's endpoint and the TLS connection.
 */
#ifndef FRONT_FRONT_H
#define FRONT_FRONT_H

#include <stddef.h>
#include <stdint.h>

#include "base/hostname.h"
#include "base/reason.h"

/* The longest answer to a greeting, in bytes. */
#define FRONT_REPLY_MAX 512

enum front_result {
    FRONT_MORE,  /* the greeting is not complete */
    FRONT_READY, /* the greeting is complete */
    FRONT_BAD,   /* the bytes are no greeting of this protocol */
};

/* The host and port that the client names. */
struct front_target {
    char host[HOSTNAME_MAX + 1]; /* as the client wrote it, NUL-terminated */
    long port;
};

struct front_ops {
    const char *name;
    size_t size; /* of a client's state, which begins as zeros and is freed without a call */

    /*
     * Reads the next n bytes of the greeting, which are borrowed for this call. It is first called
     * with n = 0: a front that answers READY then is one whose clients say nothing before their
     * payload, and no byte of them is read until the server is trusted. It must not answer BAD
     * then, nor READY if its front end has no section. Once it has answered READY or BAD it is not
     * called again.
     *
     * FRONT_MORE takes all n bytes. FRONT_READY sets *used to the number of those that belong to
     * the greeting; the rest is payload. A front whose front end has no section sets *target.
     */
    enum front_result (*feed)(void *state, const uint8_t *bytes, size_t n, size_t *used,
                              struct front_target *target);

    /*
     * Writes the answer to the client to out, which has room for FRONT_REPLY_MAX bytes, and returns
     * its length. REASON_OK: the server is trusted, and the tunnel opens. Any other reason is why
     * it does not; the client then gets the answer and the end of the stream, or a reset if the
     * length is 0.
     */
    size_t (*reply)(void *state, enum reason reason, uint8_t *out, size_t room);
};

/* raw: the client's bytes are payload from the first on. */
extern const struct front_ops front_raw;

#endif
