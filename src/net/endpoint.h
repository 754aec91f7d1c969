/*
 * One end of a tunnel: a connected byte stream on a loop. The client's end and the server's end are
 * the same struct.
 *
 * The owner embeds it, passes a table of events, and reads the plain fields below, in which this
 * module records facts. It makes no decision.
 */
#ifndef NET_ENDPOINT_H
#define NET_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "net/stream.h"
#include "net/watch.h"

struct endpoint;
struct unsent;

/* Shared by all endpoints of a thread, which it must outlive. */
struct endpoint_io {
    uv_loop_t *loop;
    struct watch *watch;
    uint8_t *input; /* where bytes are read to */
    size_t input_size;
};

struct endpoint_events {
    /* Bytes were read. They are valid until this returns. */
    void (*read)(struct endpoint *ep, const uint8_t *bytes, size_t n);
    /* The kernel has taken everything that was written, or the stream has ended or failed. */
    void (*changed)(struct endpoint *ep);
    /* The handle is closed. Nothing is called after this, and the owner may free the endpoint. */
    void (*closed)(struct endpoint *ep);
};

struct endpoint {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    const struct endpoint_events *events;
    const struct endpoint_io *io;
    enum stream_kind kind;
    struct attachment *attachment; /* until the close; or NULL */
    struct watched watched;
    int64_t ack_limit; /* ms without an acknowledgment after which the peer is lost; 0: no limit */
    int64_t silent_since; /* loop time since which no expected acknowledgment has come */

    struct unsent *in_flight; /* bytes that the kernel did not take at once, or NULL */
    struct unsent *queued;    /* bytes that were written while others were in flight, or NULL */

    bool open;         /* the handle is initialised and not closing */
    bool held;         /* the end was read, but the attachment has not ended yet */
    bool reading;      /* as endpoint_want_read() was last called */
    bool unacked;      /* TCP: some written bytes may not have been acknowledged */
    bool fin_wanted;   /* endpoint_shutdown() was called */
    bool fin_sent;     /* our FIN was sent */
    bool fin_received; /* the peer's FIN was received; bytes before it may not have been read */
    bool eof;          /* the peer's FIN was read */
    int write_error;   /* a libuv error code: nothing can be written; bytes may be left to read */
    int error;         /* a libuv error code: nothing can be read or written */
};

/*
 * Opens an endpoint on a stream and takes ownership of it. Sets ep->error if it fails.
 *
 * keepalive_ms is the value that sock_tune() was called with. A TCP peer that does not acknowledge
 * bytes for sock_keepalive_limit() is lost: ep->error is then UV_ETIMEDOUT. (The kernel sends
 * keepalive probes only while no byte is unacknowledged.)
 */
void endpoint_open(struct endpoint *ep, const struct endpoint_io *io, const struct stream *stream,
                   int64_t keepalive_ms, const struct endpoint_events *events);

/*
 * Starts or stops reading. While an endpoint is not read, its socket is checked twice a second. A
 * reset, a FIN, or the close of a Unix peer then sets write_error or fin_received, and is reported
 * by changed().
 */
void endpoint_want_read(struct endpoint *ep, bool want);

/*
 * Writes n bytes: passes to the kernel what it takes at once, and copies the rest, to be written
 * later. The caller writes bulk data only if endpoint_is_idle(), so that at most one turn of it is
 * held here. Other bytes (TLS alerts, key updates) may be written at any time, and are queued. Sets
 * ep->write_error if it fails.
 */
void endpoint_write(struct endpoint *ep, const uint8_t *bytes, size_t n);

/* Returns the local address of an open endpoint; of len 0 if it has none. */
struct addr endpoint_local(const struct endpoint *ep);

/* Returns true if the kernel has taken everything that was written. */
bool endpoint_is_idle(const struct endpoint *ep);

/* Returns how many bytes are queued behind those in flight. */
size_t endpoint_queued(const struct endpoint *ep);

/* Returns how many bytes all endpoints of the process hold that the kernel has not yet taken. */
uint64_t endpoints_hold(void);

/* Sends a FIN when the kernel has taken everything that was written. A terminal has none. */
void endpoint_shutdown(struct endpoint *ep);

/* Returns how many bytes the kernel holds that a TCP peer has not acknowledged; 0 for others. */
int endpoint_unsent(const struct endpoint *ep);

/* Returns how many written bytes the peer has not taken, here and in the kernel. */
size_t endpoint_backlog(const struct endpoint *ep);

/* Returns in words how the stream's attachment has ended by itself, or "". */
const char *endpoint_ending(const struct endpoint *ep);

/*
 * Returns true if the peer has reset the stream or is lost. A Unix peer that has closed in order is
 * no reset: nothing can be written to it, but everything that it has sent can be read.
 */
bool endpoint_is_reset(const struct endpoint *ep);

/*
 * Returns true if the peer has reset the stream, or if it has closed a Unix socket and nothing is
 * left to read.
 */
bool endpoint_is_gone(const struct endpoint *ep);

/*
 * Closes the endpoint, with a reset if it is TCP and reset is set, and releases the attachment.
 * Idempotent. Ends in closed().
 */
void endpoint_close(struct endpoint *ep, bool reset);

#endif
