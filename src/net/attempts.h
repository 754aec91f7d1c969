/*
 * The attempts of a dial: TCP connects that run at the same time. At most three are in flight, and
 * the process has a limit for those beyond the first of each dial. An address that does not connect
 * is remembered (net/unreachable), unless this machine is the reason.
 */
#ifndef NET_ATTEMPTS_H
#define NET_ATTEMPTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

#include "base/addr.h"
#include "base/reason.h"
#include "net/listening.h"
#include "net/stream.h"

struct attempt;
struct attempts;
struct config_section;

#define ATTEMPTS_MAX 3

/* How an attempt has ended. */
struct attempt_result {
    struct addr peer;
    bool connected;
    struct stream stream; /* if it is connected; the callee takes ownership of it */
    enum reason reason;   /* otherwise */
    char why[LISTENING_TEXT_SIZE];
};

/* The calls of a set of attempts. They come from the loop, and never within a function below. */
struct attempts_ops {
    /* An attempt has ended by itself. The callee may end the others. */
    void (*ended)(struct attempts *s, const struct attempt_result *result);
    /* An attempt that was started has closed its handle. */
    void (*closed)(struct attempts *s);
};

/* Embedded by the owner. */
struct attempts {
    const struct attempts_ops *ops;
    uv_loop_t *loop;
    TAILQ_HEAD(, attempt) list; /* the oldest first */
    int in_flight;
    int borrowed; /* spare attempts: in_flight - 1, or one more while an attempt starts */
};

/*
 * Sets how many attempts the process may have in flight in addition to one for each dial, because
 * no tunnel accounts for their descriptors. There is no limit by default. May be called from any
 * thread.
 */
void attempts_set_spare(int64_t max);

/* Initialises a set in memory of any content. */
void attempts_init(struct attempts *s, uv_loop_t *loop, const struct attempts_ops *ops);

/*
 * Returns true if another attempt may start, and keeps room for it, which attempts_start() uses.
 */
bool attempts_has_room(struct attempts *s);

enum attempts_started {
    ATTEMPTS_STARTED, /* in flight: closed() will be called, and ended() unless it is ended before */
    ATTEMPTS_ENDED,   /* *result is set */
};

/*
 * Connects to an address with the options of a section, which is not used after the call.
 * attempts_has_room() must have returned true before.
 */
enum attempts_started attempts_start(struct attempts *s, const struct config_section *section,
                                     const struct addr *peer, struct attempt_result *result);

/* Returns the age of the oldest attempt in flight, of which there is one, in milliseconds. */
int64_t attempts_age(const struct attempts *s);

/* Ends the oldest attempt in flight, of which there is one, as a failure. */
void attempts_give_up_oldest(struct attempts *s, struct attempt_result *result);

/*
 * Ends all attempts without a call of ended(). Those that have had no answer for silent_ms
 * milliseconds are remembered as unreachable.
 */
void attempts_end(struct attempts *s, int64_t silent_ms);

#endif
