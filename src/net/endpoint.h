/*
 * One end of a tunnel: a connected byte stream on a loop. Client and upstream are the same struct.
 *
 * The owner embeds it, gives it a table of events, and says what it wants; facts are kept here in
 * plain fields for the owner to look at. Nothing here decides anything.
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

/* What all endpoints of a thread share; it outlives them. */
struct endpoint_io {
    uv_loop_t *loop;
    struct watch *watch;
    uint8_t *input; /* reads go here */
    size_t input_size;
};

struct endpoint_events {
    /* Bytes have come; they are gone when this returns. */
    void (*read)(struct endpoint *ep, const uint8_t *bytes, size_t n);
    /* Everything written has left for the kernel, or the stream has ended or failed. */
    void (*changed)(struct endpoint *ep);
    /* The handle is gone and its memory free. */
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
    struct watched watched;
    int64_t ack_limit; /* ms without an acknowledgment after which the peer is gone; 0: no limit */
    int64_t silent_since; /* loop time: since then nothing was acknowledged that should have been */

    struct unsent *in_flight; /* what the kernel did not take at once; NULL: nothing */
    struct unsent *queued;    /* what came while that was in flight */

    bool open;         /* the handle is initialised and not closing */
    bool is_tcp;       /* knows resets */
    bool reading;      /* as last asked for */
    bool unacked;      /* TCP: something written may not have been acknowledged */
    bool fin_wanted;   /* to be finished once everything is written */
    bool fin_sent;     /* our FIN is out */
    bool fin_received; /* the peer's FIN has come; there may be more to read before it */
    bool eof;          /* the peer's FIN has been read */
    int write_error;   /* a libuv error code: nothing can be written; there may be more to read */
    int error;         /* likewise: the stream is of no more use */
};

/*
 * Opens an endpoint on a stream, whose descriptor it takes ownership of; ep->error is set if that
 * fails. keepalive_ms is as set with sock_tune(). A TCP peer that acknowledges nothing for
 * sock_keepalive_limit() although it should is lost: ep->error is UV_ETIMEDOUT. (The kernel sends
 * its keepalive probes only while nothing is outstanding.)
 */
void endpoint_open(struct endpoint *ep, const struct endpoint_io *io, const struct stream *stream,
                   int64_t keepalive_ms, const struct endpoint_events *events);

/*
 * Starts or stops reading. While an endpoint is not read, the socket is checked twice a second: a
 * reset, a FIN, or the close of a Unix peer is found in write_error and fin_received, and reported
 * by changed.
 */
void endpoint_want_read(struct endpoint *ep, bool want);

/*
 * Writes all of it: at once as far as the kernel takes it, the rest is copied. Bulk data is written
 * only when endpoint_is_idle(), so that at most one turn of it is held here; what has to go out in
 * between (TLS alerts, key updates) queues behind. A failure is found in ep->write_error.
 */
void endpoint_write(struct endpoint *ep, const uint8_t *bytes, size_t n);

/* Nothing is waiting to be written. */
bool endpoint_is_idle(const struct endpoint *ep);

/* Bytes that queue behind what is in flight. */
size_t endpoint_queued(const struct endpoint *ep);

/* Bytes that all endpoints of the process hold now, written and not yet taken by the kernel. */
uint64_t endpoints_hold(void);

/* Sends FIN once everything is written. */
void endpoint_shutdown(struct endpoint *ep);

/* Bytes that the kernel holds and the peer has not acknowledged. */
int endpoint_unsent(const struct endpoint *ep);

/* Returns the bytes in flight that the peer has not taken, here and in the kernel. */
size_t endpoint_backlog(const struct endpoint *ep);

/*
 * Returns true if the peer has reset the stream or is lost. A Unix peer that has closed in order
 * cannot be written to either, but what it sent before is whole: it is not reset.
 */
bool endpoint_is_reset(const struct endpoint *ep);

/*
 * Returns true if the peer has reset the stream, or has closed a Unix socket and left nothing to
 * read.
 */
bool endpoint_is_gone(const struct endpoint *ep);

/* Closes, with a reset where the transport knows one. Idempotent; ends in the closed event. */
void endpoint_close(struct endpoint *ep, bool reset);

#endif
