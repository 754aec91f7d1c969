/*
 * Pins that hosts announce (pins_url): asked for over a connection that the section's own trust has
 * accepted, at start and once a day, and kept among the learned ones. On the main loop.
 */
#ifndef PINPROXYD_ANNOUNCER_H
#define PINPROXYD_ANNOUNCER_H

#include "net/reactor.h"
#include "proxy/snapshot.h"

struct announcer;

struct announcer *announcer_new(struct reactor *reactor);

/*
 * From now on it goes by this snapshot, of which it takes a reference: hosts whose section is new or
 * has another trust are asked at once, others when their day has passed.
 */
void announcer_update(struct announcer *a, struct snapshot *snapshot);

/* Keys have been learned: those hosts are asked whose key was not known before. */
void announcer_wake(struct announcer *a);

/* Asks no more. It frees itself when its last handle has closed. a may be NULL. */
void announcer_close(struct announcer *a);

#endif
