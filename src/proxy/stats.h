/*
 * What is counted for one section. It outlives reloads: snapshots share it by reference. Workers
 * write it as tunnels come and go; anyone may read it.
 */
#ifndef PROXY_STATS_H
#define PROXY_STATS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/reason.h"
#include "pin/cert.h"

#define STATS_TEXT_SIZE 160

struct stats {
    _Atomic unsigned refs;
    _Atomic uint64_t open;     /* tunnels now, from accept to the end */
    _Atomic uint64_t total;    /* tunnels that opened */
    _Atomic uint64_t sent;     /* plaintext bytes, client to server */
    _Atomic uint64_t received; /* and back */
    _Atomic uint64_t ended[REASON_COUNT];
    _Atomic uint64_t mismatches; /* of pins, whether or not they refused */

    pthread_mutex_t lock; /* for what follows */
    char last_pin[STATS_TEXT_SIZE];
    struct x509_st *last_server; /* its certificate, the last that was trusted; NULL: none yet */
    bool noting;                 /* a changed key is being written down ... */
    bool has_next;               /* ... and this one is, after it */
    uint8_t next_key[32];
    enum reason last_failure; /* REASON_NONE: there was none */
    int64_t last_failure_at;  /* seconds since the epoch */
};

struct stats *stats_new(void);
struct stats *stats_hold(struct stats *s);
void stats_release(struct stats *s);

static inline void stats_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static inline uint64_t stats_get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* A tunnel has opened, on this pin (its label, or ""), to a server with this certificate. */
void stats_opened(struct stats *s, const char *pin, struct x509_st *server);

/* A tunnel has ended, whether it had opened or not. */
void stats_ended(struct stats *s, enum reason reason);

/* Moves one open tunnel from the counters of one section to those of another, or of the same. */
void stats_move(struct stats *from, struct stats *to);

/* For a report: the pin, and the failure, that were the last. */
void stats_last(struct stats *s, char pin[STATS_TEXT_SIZE], enum reason *failure, int64_t *at);

/*
 * The certificate that was trusted last, to be freed with cert_info_free(). False: there was none.
 */
bool stats_last_server(struct stats *s, struct cert_info *info);

#endif
