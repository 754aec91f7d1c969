/*
 * The fields of a tunnel, and the ways in which it ends. tunnel.c decides when one of them has to;
 * no other file touches the fields.
 *
 * A tunnel that ends in order, or by resets, is in CLOSING at once. If its client still has to get
 * something, it is in LINGER before.
 */
#ifndef PROXY_ENDING_H
#define PROXY_ENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/endpoint.h"
#include "proxy/connlog.h"
#include "proxy/greeting.h"
#include "proxy/relay.h"
#include "proxy/route.h"
#include "proxy/upstream.h"

struct tunnel;

struct tunnel_events {
    /* Called when the server is trusted, before the client gets anything. May be NULL. */
    void (*opening)(struct tunnel *t, void *owner);
    /*
     * Called once, when the tunnel has ended. detail is more words about the reason, "" or NULL.
     * May be NULL.
     */
    void (*ended)(struct tunnel *t, enum reason reason, const char *detail, void *owner);
    /* Called when all handles are closed, before the tunnel is freed. */
    void (*freed)(struct tunnel *t, void *owner);
};

/* tunnel.h describes the states. */
enum tunnel_state {
    TUNNEL_WARM,
    TUNNEL_GREETING,
    TUNNEL_UPSTREAM,
    TUNNEL_RELAY,
    TUNNEL_LINGER,
    TUNNEL_CLOSING,
};

struct tunnel {
    const struct tunnel_events *events;
    void *owner;
    struct thread *thread;
    struct route route;
    enum tunnel_state state;
    enum reason reason;

    struct endpoint client;
    struct addr client_addr;
    struct greeting greeting;
    struct upstream upstream;
    struct relay relay;
    uv_timer_t timer;
    int holds; /* the client's handle if there is one, the timer, the upstream if it was started */

    bool has_upstream;
    bool opened;        /* RELAY was reached */
    bool cut;           /* the server's stream broke off */
    int64_t armed;      /* RELAY: when the timer fires; 0: it is not set */
    uint64_t started;   /* loop time, as all times here */
    uint64_t opened_at; /* in WARM: when the server was trusted; 0: not yet */
    uint64_t linger_until;
    int64_t rechecked_at; /* seconds since the epoch; by then its pin had not ended */

    _Alignas(max_align_t) uint8_t front_state[];
};

/* Returns what the log lines of a tunnel show. Borrows from it. */
struct connlog ending_connlog(const struct tunnel *t);

/* Gives back one of the holds. With the last one the tunnel is freed. */
void ending_release(struct tunnel *t);

/* Notes how the tunnel ended. The first reason counts, and is logged here and nowhere else. */
void ending_note(struct tunnel *t, enum reason reason, const char *detail);

/*
 * Ends a tunnel in WARM, with close_notify if the server is trusted. A failure is logged. The first
 * use of a section is none: it is left to a client.
 */
void ending_warm(struct tunnel *t, enum reason reason, const char *detail);

/* Closes every handle, each side with a reset or with a FIN. Idempotent. */
void ending_close(struct tunnel *t, bool reset_client, bool reset_upstream);

/* Ends the stream in order on both sides. */
void ending_gracefully(struct tunnel *t, enum reason reason);

/* Ends the tunnel with resets on both sides. */
void ending_abort(struct tunnel *t, enum reason reason, const char *detail);

/* The server's stream broke off: gives the client what was authenticated, then a reset. */
void ending_cut(struct tunnel *t, enum reason reason, const char *detail);

/*
 * Ends a tunnel that never opened. The client gets the front's answer and the end of the stream, or
 * a reset if the front has no answer.
 */
void ending_refuse(struct tunnel *t, enum reason reason, const char *detail, bool reset_upstream);

/* In LINGER: closes the client if its kernel has the last bytes, or if it takes too long. */
void ending_linger(struct tunnel *t);

#endif
