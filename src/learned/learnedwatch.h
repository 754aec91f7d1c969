/*
 * Notices changes that people and other processes make to the file of learned pins. It has a thread
 * of its own, so that a disk that does not answer holds up nothing else. inotify(7) reports most
 * changes at once; a check every second finds the rest, such as a file that was deleted, or changes
 * by another machine on NFS.
 */
#ifndef LEARNED_LEARNEDWATCH_H
#define LEARNED_LEARNEDWATCH_H

#include <stdbool.h>

#include "learned/learned.h"

struct learnedwatch;

/*
 * Starts the thread, which watches nothing yet. The thread calls changed(arg), which must not wait,
 * when the keys of the store have changed, also by a change of this process. It logs
 * `learned_failed` if the file cannot be read. Returns NULL with errno set if the thread cannot be
 * started.
 */
struct learnedwatch *learnedwatch_start(void (*changed)(void *arg), void *arg);

/* Watches a store, of which it takes a reference, in place of the one before. l may be NULL. */
void learnedwatch_set(struct learnedwatch *w, struct learned *l);

/*
 * Ends the thread and frees w, which may be NULL. changed() is not called after it has returned.
 * Returns false if the thread waits for a disk that does not answer; the thread then ends later by
 * itself.
 */
bool learnedwatch_stop(struct learnedwatch *w);

#endif
