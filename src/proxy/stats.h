/*
 * The counters of one section. They outlive reloads: snapshots share them by reference. Workers
 * write them while tunnels come and go; any thread may read them.
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

/* A gauge is a present number; a counter only grows. */
enum stats_kind { STATS_GAUGE, STATS_COUNTER };

/*
 * X(identifier, name, kind, help): one row for each counter. All code that shows counters walks
 * stats_rows[]. A new counter is a row here and the stats_add() that counts it.
 */
#define STATS(X)                                                                                   \
    X(TUNNELS, "tunnels", GAUGE, "Tunnels that exist now, from accept(2) to their end")            \
    X(TOTAL, "total", COUNTER, "Tunnels whose server was trusted")                                 \
    X(SENT, "sent", COUNTER, "Plaintext bytes from clients to the server")                         \
    X(RECEIVED, "received", COUNTER, "Plaintext bytes from the server to clients")                 \
    X(MISMATCHES, "mismatches", COUNTER, "Pin mismatches, refused or reported")                    \
    X(WARM, "warm", GAUGE, "Warm connections that wait for a client")

enum stats_counter {
#define X(id, name, kind, help) STATS_##id,
    STATS(X)
#undef X
        STATS_COUNT
};

struct stats_row {
    const char *name;
    enum stats_kind kind;
    const char *help;
};

extern const struct stats_row stats_rows[STATS_COUNT];

struct stats {
    _Atomic unsigned refs;
    _Atomic uint64_t counters[STATS_COUNT];
    _Atomic uint64_t ended[REASON_COUNT];

    /*
     * For each worker, how many warm connections it has that no client was promised; negative while
     * one was lost after the promise. NULL: the section has never had any. The main loop allocates
     * it before it orders the workers to make some. Here because it outlives a reload.
     */
    _Atomic int *_Atomic warm;

    pthread_mutex_t lock; /* protects the fields below */
    char last_pin[STATS_TEXT_SIZE];
    /*
     * The certificate of the server that was trusted last; NULL: none yet. It is no counter. It is
     * here because no other part of a section outlives a reload, and the warnings that a reload
     * logs need it.
     */
    struct x509_st *last_server;
    enum reason last_failure; /* REASON_NONE: there was none */
    int64_t last_failure_at;  /* seconds since the epoch */
};

/* The values of all counters at one moment, and what was last. */
struct stats_values {
    uint64_t counters[STATS_COUNT];
    uint64_t ended[REASON_COUNT]; /* tunnels that ended for this reason, opened or not */
    char last_pin[STATS_TEXT_SIZE];
    enum reason last_failure; /* REASON_NONE: there was none */
    int64_t last_failure_at;  /* seconds since the epoch; 0 without a failure */
};

/* Creates counters that are all zero. The caller has the only reference. */
struct stats *stats_new(void);

/* Takes one more reference. Returns s. */
struct stats *stats_hold(struct stats *s);

/* Gives a reference back, and frees the counters with the last one. s may be NULL. */
void stats_release(struct stats *s);

/* Adds n to a counter. */
static inline void stats_add(struct stats *s, enum stats_counter counter, uint64_t n)
{
    atomic_fetch_add_explicit(&s->counters[counter], n, memory_order_relaxed);
}

/* Subtracts n from a gauge. */
static inline void stats_subtract(struct stats *s, enum stats_counter counter, uint64_t n)
{
    atomic_fetch_sub_explicit(&s->counters[counter], n, memory_order_relaxed);
}

/* Returns the value of one counter. */
static inline uint64_t stats_get(const struct stats *s, enum stats_counter counter)
{
    return atomic_load_explicit(&s->counters[counter], memory_order_relaxed);
}

/*
 * Counts a tunnel whose server was trusted. pin is the label of the pin that matched, or "".
 * server is the server's certificate, of which a reference is taken; it may be NULL.
 */
void stats_opened(struct stats *s, const char *pin, struct x509_st *server);

/* Counts the end of a tunnel that was counted in STATS_TUNNELS, whether it had opened or not. */
void stats_ended(struct stats *s, enum reason reason);

/* Notes a failure of a connection that had no client. An ordinary end is none. */
void stats_failed(struct stats *s, enum reason reason);

/* Counts a client that was refused before there was a tunnel for it. */
void stats_refused(struct stats *s, enum reason reason);

/* Moves one tunnel of STATS_TUNNELS from one section's counters to those of another or the same. */
void stats_move(struct stats *from, struct stats *to);

/*
 * Reads everything into *values. Each counter is exact; counters that are written meanwhile need
 * not be of the same moment.
 */
void stats_read(struct stats *s, struct stats_values *values);

/*
 * Describes the certificate of the server that was trusted last. Returns true with *info set, which
 * the caller frees with cert_info_free(), or false if there was none.
 */
bool stats_last_server(struct stats *s, struct cert_info *info);

#endif
