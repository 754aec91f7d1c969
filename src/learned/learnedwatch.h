/*
 * Notices changes to the file of learned pins that people and other processes make, in a thread of
 * its own: a disk that does not answer holds up nobody else. inotify(7) reports most changes at
 * once; a look every second finds the rest (another machine's, on NFS).
 */
#ifndef LEARNED_LEARNEDWATCH_H
#define LEARNED_LEARNEDWATCH_H

#include <stdbool.h>

#include "learned/learned.h"

struct learnedwatch;

/*
 * Starts the thread, which has nothing to watch yet. changed(arg) is called in it when the keys of
 * the store have changed, whoever has changed them; it must not wait. A file that cannot be read is
 * logged as `learned_failed`. Returns NULL with errno set if the thread cannot be started.
 */
struct learnedwatch *learnedwatch_start(void (*changed)(void *arg), void *arg);

/* Watches this store, of which it takes a reference, in place of the one before. l may be NULL. */
void learnedwatch_set(struct learnedwatch *w, struct learned *l);

/*
 * Ends the thread and frees w, which may be NULL. changed() is not called any more when it returns.
 * Returns false if the thread waits for a disk that does not answer: it is then left to itself.
 */
bool learnedwatch_stop(struct learnedwatch *w);

#endif
