/*
 * A connected stream, on its way from an acceptor or a transport to the endpoint that reads and
 * writes it.
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

enum stream_kind {
    STREAM_SOCKET,   /* Unix, vsock: the peer sees an end, and no reset */
    STREAM_TCP,      /* the peer sees a reset too, and acknowledges bytes */
    STREAM_TERMINAL, /* no socket, termios(3): the peer sees nothing; a hang-up is an error */
};

struct attachment;

struct attachment_ops {
    /*
     * Called when the descriptor is at its end. Returns true if the end can be reported at once;
     * otherwise ended() is called soon, once.
     */
    bool (*has_ended)(struct attachment *a);
    /* Returns in words how it has ended by itself, or "". Valid until release(). */
    const char *(*ending)(const struct attachment *a);
    /* Returns true if it has failed, so that the end of the stream is no end in order. */
    bool (*has_failed)(const struct attachment *a);
    /*
     * Ends it, because the stream is being closed. With reset, nothing that was sent may look whole.
     * It frees itself, and calls nobody any more.
     */
    void (*release)(struct attachment *a, bool reset);
};

/*
 * Belongs to a stream besides its descriptor: the program behind a socket pair, or the lock of a
 * device. It is owned with the stream, and runs on the same loop.
 */
struct attachment {
    const struct attachment_ops *ops;
    void (*ended)(struct attachment *a, void *owner); /* set by the stream's last owner */
    void *owner;
};

struct stream {
    int fd; /* close-on-exec, and non-blocking unless it is a STREAM_SOCKET */
    enum stream_kind kind;
    struct addr peer;              /* len 0: it has none, as with socketpair(2) */
    struct attachment *attachment; /* or NULL */
};

#endif
