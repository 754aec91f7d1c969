/*
 * Pins that hosts announce (pins_url): asked for over a connection that the section's own trust has
 * accepted, at start and once a day, and kept among the learned ones. Runs on the loop of a worker,
 * so that a slow host holds up no accept(2).
 */
#ifndef PROXY_PINFETCH_H
#define PROXY_PINFETCH_H

#include "proxy/snapshot.h"
#include "proxy/thread.h"

struct pinfetch;

/* Creates one on the loop of the thread, which must outlive it. pinfetch_close() ends it. */
struct pinfetch *pinfetch_new(struct thread *thread);

/*
 * Applies a snapshot, of which it takes a reference. Hosts whose section is new or has another
 * trust are asked at once, those that are being asked are asked again, and the others when their
 * day has passed. With the snapshot that it has already, keys have been learned: those hosts are
 * asked whose key was not known before.
 */
void pinfetch_update(struct pinfetch *a, struct snapshot *snapshot);

/* Asks no more. It frees itself when its last handle has closed. a may be NULL. */
void pinfetch_close(struct pinfetch *a);

#endif
