/*
 * Coalesces refused keys that are to be written. One key of a section is written at a time, and of
 * those that are refused meanwhile only the latest waits. Otherwise a server that shows another key
 * at each connection could occupy all threads that write.
 */
#ifndef LEARNED_PENDING_H
#define LEARNED_PENDING_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "learned/learnedkey.h"

struct pending_section;

/* May be used from any thread. */
struct pending {
    pthread_mutex_t lock;
    LIST_HEAD(, pending_section) sections; /* whose key is being written */
};

/* Initializes it without a key. */
void pending_init(struct pending *p);

/* Frees what is in it. */
void pending_destroy(struct pending *p);

/*
 * Begins to write a key. Returns true if the caller has to write it now, and then to call
 * pending_end(). Returns false if another key of its section is being written, behind which it then
 * waits, or if there is no memory.
 */
bool pending_begin(struct pending *p, const struct learned_key *key);

/*
 * Ends a write. Returns true if a key of the same section waits: it is stored in *key, and the
 * caller has to write it now.
 */
bool pending_end(struct pending *p, struct learned_key *key);

/* Ends a write that could not be started, and drops the key that waits behind it. */
void pending_abort(struct pending *p, const struct learned_key *key);

#endif
