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

struct endpoint;
struct unsent;

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
    uint8_t *buffer; /* what is read into: the thread's, shared by all its endpoints */
    size_t buffer_size;

    struct unsent *in_flight; /* what the kernel did not take at once; NULL: nothing */
    struct unsent *queued;    /* what came while that was in flight */

    bool open;       /* the handle is initialised and not closing */
    bool is_tcp;     /* knows resets */
    bool reading;    /* as last asked for */
    bool finish;     /* to be finished once everything is written */
    bool finished;   /* our FIN is out */
    bool ended;      /* the peer's FIN has come */
    int write_error; /* a libuv error code: nothing can be written; there may be more to read */
    int error;       /* likewise: the stream is of no more use */
};

/* Takes over a connected stream socket, whatever happens; a failure is found in ep->error. */
void endpoint_open(struct endpoint *ep, uv_loop_t *loop, int fd, bool is_tcp,
                   const struct endpoint_events *events, uint8_t *buffer, size_t buffer_size);

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
void endpoint_finish(struct endpoint *ep);

/* Bytes that the kernel holds and the peer has not acknowledged. */
int endpoint_unsent(const struct endpoint *ep);

/*
 * The peer has reset the stream, or closed a Unix socket: to be asked while nothing is read, when no
 * event would tell.
 */
bool endpoint_is_gone(const struct endpoint *ep);

/* Closes, with a reset where the transport knows one. Idempotent; ends in the closed event. */
void endpoint_close(struct endpoint *ep, bool reset);

#endif
