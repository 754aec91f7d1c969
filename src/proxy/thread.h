/*
 * What one thread's connections share: the loop, the resolver, and the memory that bytes pass
 * through. Nothing in that memory outlives the callback that put it there.
 */
#ifndef PROXY_THREAD_H
#define PROXY_THREAD_H

#include <stdint.h>
#include <uv.h>

#include "net/endpoint.h"
#include "net/resolver.h"
#include "net/watch.h"
#include "tls/tlsthread.h"

struct thread {
    uv_loop_t loop;
    struct resolver *resolver;
    struct watch watch;    /* of sockets that are not read */
    struct endpoint_io io; /* loop, watch, and TLS_TURN_SIZE of input for either side */
    struct tls_thread tls;
    uint8_t *plaintext; /* TLS_PLAINTEXT_SIZE: what came out of the records */
    /* Called by thread_turn(); set by the thread's owner. NULL: nothing is called */
    void (*turn)(struct thread *r);
};

/* Zero, or a libuv error with nothing left behind. */
int thread_init(struct thread *r);

/*
 * Begins a turn: to be called by whoever got a libuv event, before a server is judged or plaintext
 * moves. Lets the thread's owner apply what other threads have ordered meanwhile, which may end any
 * connection of the thread, the caller's own included.
 */
void thread_turn(struct thread *r);

/* Closes what it has on the loop, which then runs until the last handle has closed. */
void thread_close(struct thread *r);

/* After the loop has ended. Every handle must be gone: that is asserted. */
void thread_free(struct thread *r);

#endif
