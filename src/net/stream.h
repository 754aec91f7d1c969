/*
 * A connected stream socket, as an acceptor or a transport hands it over: from there to the
 * endpoint that reads and writes it.
 *
 * Exactly one holder owns the descriptor. Whoever produces a stream gives it to the caller, who
 * then owns it. A function that takes ownership says so in its comment, and closes the descriptor
 * itself if it fails, unless the comment leaves it to the caller. To copy the struct into a queue
 * moves ownership to the copy. endpoint_open() takes ownership for good.
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
