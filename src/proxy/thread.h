/*
 * The context that all connections of one thread share: the loop, the resolver, and the memory that
 * bytes pass through. The contents of that memory are valid only in the callback that put them
 * there.
 */
#ifndef PROXY_THREAD_H
#define PROXY_THREAD_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "net/endpoint.h"
#include "net/resolver.h"
#include "net/watch.h"
#include "tls/tlsthread.h"

struct section;
struct transport;
struct transport_owner;
struct tunnels;

struct thread {
    uv_loop_t loop;
    struct resolver *resolver;
    struct watch watch;    /* polls sockets that are not read */
    struct endpoint_io io; /* loop, watch, and TLS_TURN_SIZE of input for either side */
    struct tls_thread tls;
    uint8_t *plaintext; /* TLS_PLAINTEXT_SIZE bytes, decrypted from the server's records */
    /* Called by thread_turn(), and set by the thread's owner. NULL: nothing is called. */
    void (*turn)(struct thread *t);
    struct tunnels *tunnels; /* set by tunnels_init(); NULL: it has none */
    /* Connects to a section over a tunnel of another one: outer_start(). Set with `tunnels`. */
    struct transport *(*start_outer)(struct thread *t, const struct section *section,
                                     struct transport_owner *owner);
    bool probes; /* the tunnels store no key of a first use, and resume no session */
};

/* Initializes a thread's context. Returns 0, or a libuv error code with everything undone. */
int thread_init(struct thread *t);

/*
 * Begins a turn. Every callback of libuv calls it before it has a server judged or moves plaintext.
 * Lets the thread's owner apply the orders of other threads, which may end any connection of this
 * thread, the caller's too.
 */
void thread_turn(struct thread *t);

/*
 * Closes the context's own handles. The loop then runs until the last handle of all connections has
 * closed.
 */
void thread_close(struct thread *t);

/* Frees the context after its loop has returned. Asserts that every handle is closed. */
void thread_free(struct thread *t);

#endif
