/*
 * Makes a change to the learned pins off the loop, in libuv's threads, since it waits for a lock
 * and for the disk. Each change is an object of its own, which may outlive the owner who asked for
 * it.
 */
#ifndef PROXY_LEARN_H
#define PROXY_LEARN_H

#include <uv.h>

#include "learned/hpkp.h"
#include "learned/learned.h"
#include "proxy/snapshot.h"

struct learn_job;

enum learn_kind {
    LEARN_FIRST_USE, /* learned_add() */
    LEARN_REFUSED,   /* learned_note_refused(), one at a time for each section */
    LEARN_ANNOUNCED, /* learned_announce() */
    LEARN_STALE,     /* learned_remove(); see learn_remove_stale() */
};

struct learn_order {
    enum learn_kind kind;
    const struct section *section; /* the keys' section; not used after learn_start() */
    uint8_t digests[HPKP_PINS_MAX][CERT_DIGEST_SIZE];
    size_t count;
    struct learned_via via; /* of LEARN_ANNOUNCED */
    int64_t until;
    int64_t now;
};

/* Embedded by the owner. detail is why, for LEARNED_FAILED, or ""; it is valid in the call only. */
struct learn_owner {
    void (*done)(struct learn_owner *owner, enum learned_result result, const char *detail);
};

/*
 * Starts a change. owner->done() is called once, from the loop; owner may be NULL. Returns NULL if
 * there is no memory, or if a change of the same section that is being made makes this one as well
 * (LEARN_REFUSED).
 */
struct learn_job *learn_start(uv_loop_t *loop, const struct learn_order *order,
                              struct learn_owner *owner);

/*
 * Starts to store the key of a first use, which the server has proved that it holds: see
 * learn_start().
 */
struct learn_job *learn_first_use(uv_loop_t *loop, const struct section *section,
                                  const struct trust_verdict *verdict, struct learn_owner *owner);

/*
 * Stores a changed key as refused, for `pinproxy learned accept`, unless it is stored already. The
 * server must have proved that it holds the key.
 */
void learn_refused(uv_loop_t *loop, const struct section *section,
                   const struct trust_verdict *verdict);

/*
 * Removes the keys of a section that the configuration no longer vouches for (policy_stale_keys()),
 * and logs each that it does not pin itself. They have no effect already.
 */
void learn_remove_stale(uv_loop_t *loop, const struct section *section);

/* Prevents the call of owner->done(). The change is still made. k may be NULL. */
void learn_cancel(struct learn_job *k);

#endif
