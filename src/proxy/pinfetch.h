/*
 * Asks hosts for the pins that they announce (pins_url), at start and once a day, over a connection
 * that the section's own trust has accepted, and stores them among the learned ones. Runs on the
 * loop of a worker, so that a slow host holds up no accept(2).
 */
#ifndef PROXY_PINFETCH_H
#define PROXY_PINFETCH_H

#include "proxy/snapshot.h"
#include "proxy/thread.h"

struct pinfetch;

/* Returns a new one on the loop of the thread, which must outlive it. pinfetch_close() ends it. */
struct pinfetch *pinfetch_new(struct thread *thread);

/*
 * Applies a snapshot, of which it takes a reference. Asks at once the hosts whose section is new or
 * has another trust, and again those that are being asked. It asks the others when their day has
 * passed. If it has this snapshot already, keys may have been learned: it then asks the hosts whose
 * key was not known before.
 */
void pinfetch_update(struct pinfetch *p, struct snapshot *snapshot);

/*
 * Ends it in any state. It frees itself when its last handle has closed. A write to the learned
 * pins that is under way is still made. p may be NULL.
 */
void pinfetch_close(struct pinfetch *p);

#endif
