/*
 * An endpoint and its peer, over TCP, a Unix socket or a pseudoterminal, for each test of endpoints. What happened is
 * noted, and in the end nothing may be left on the loop.
 */
#ifndef UNIT_ENDPOINTS_H
#define UNIT_ENDPOINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "help.h"
#include "net/endpoint.h"
#include "proxy/thread.h"

/* Bytes, more than the buffers of a socket take. */
#define PAIR_BULK ((size_t)16 * 1024 * 1024)
extern uint8_t *pair_bulk;

extern struct thread pair_thread;

struct pair {
    enum stream_kind kind;
    struct attachment *attachment; /* for pair_open(); or NULL */
    struct endpoint *ep;           /* NULL: its closed event came */
    int peer;                      /* a descriptor that blocks; -1: closed */
    uint8_t *bytes;                /* all that was read */
    size_t n;
    int reads, changes, closings;
    bool was_idle;      /* in the last changed event */
    bool stop_reading;  /* in the next read event */
    bool close_in_read; /* likewise */
};

/* Connects a pair, and returns the descriptor for its endpoint. */
int pair_connect(struct pair *p, enum stream_kind kind);

/* Opens the endpoint on a descriptor. */
void pair_open(struct pair *p, int fd);

/* Closes the endpoint, if it is open, and checks that nothing of it is left. */
void pair_end(struct pair *p);

/* Closes the peer: in order, if it has read everything, or with a reset. */
void pair_close_peer(struct pair *p);
void pair_reset_peer(struct pair *p);

/* Runs the loop for one event, or, for what the kernel does without an event, for a moment. */
void pair_turn(void);
void pair_wait(void);

/* Reads what the endpoint writes, up to its FIN or until n bytes have come. Returns how many. */
size_t pair_drain(struct pair *p, uint8_t *out, size_t n);

/*
 * A test whose *state is a pair: over a Unix socket, over TCP, over a terminal, or once over each of
 * the first two.
 */
#define PAIR_UNIX(test)                                                                            \
    cmocka_unit_test_prestate_setup_teardown(test, pair_setup, pair_teardown, (void *)&pair_unix)
#define PAIR_TCP(test)                                                                             \
    cmocka_unit_test_prestate_setup_teardown(test, pair_setup, pair_teardown, (void *)&pair_tcp)
#define PAIR_TERMINAL(test)                                                                        \
    cmocka_unit_test_prestate_setup_teardown(test, pair_setup, pair_teardown,                      \
                                             (void *)&pair_terminal)
#define PAIR_BOTH(test) PAIR_UNIX(test), PAIR_TCP(test)

extern const enum stream_kind pair_unix, pair_tcp, pair_terminal;
int pair_setup(void **state);
int pair_teardown(void **state);

/* Of a group of such tests. */
int pair_group_setup(void **state);
int pair_group_teardown(void **state);

#endif
