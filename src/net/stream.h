/*
 * A connected stream socket, on its way from an acceptor or a transport to the endpoint that reads
 * and writes it.
 *
 * The descriptor has one owner at any time. The caller owns a stream that a function returns or
 * passes to a callback. A function takes ownership of a stream only if its comment says so; it then
 * closes the descriptor if it fails, unless the comment leaves that to the caller. A copy of the
 * struct, in a queue for example, takes ownership from the original. The last owner is an endpoint:
 * endpoint_open() takes ownership in every case.
 */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include <stdbool.h>

#include "base/addr.h"

struct stream {
    int fd;           /* close-on-exec, and non-blocking if is_tcp */
    bool is_tcp;      /* the peer sees a reset, and acknowledges bytes */
    struct addr peer; /* len 0: it has none, as with socketpair(2) */
};

#endif
