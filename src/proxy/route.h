/*
 * The route of a tunnel: the front end that its client has come by, the section that the client
 * reaches, and the counters that it is counted in, all of one snapshot.
 */
#ifndef PROXY_ROUTE_H
#define PROXY_ROUTE_H

#include <stdbool.h>

#include "front/front.h"
#include "proxy/snapshot.h"

struct route {
    struct snapshot *snapshot; /* a reference */
    const struct frontend *frontend;
    const struct section *section; /* NULL: the client has not named one yet */
    struct stats *stats;           /* where the tunnel is counted now */
};

/*
 * Begins a route at a front end of the snapshot, in whose STATS_TUNNELS the caller has counted the
 * tunnel. Takes ownership of a reference to the snapshot. route_release() gives it back.
 */
void route_init(struct route *r, struct snapshot *snapshot, const struct frontend *frontend);

/*
 * Leads a route without a section to the one that the client has named, and counts the tunnel
 * there. Returns false if no section has this host and port.
 */
bool route_choose(struct route *r, const struct front_target *target);

/*
 * Finds the same route in a later snapshot, by the names of front end and section. Returns true
 * with *next set and a reference taken, or false if one of them was removed.
 */
bool route_find(const struct route *r, struct snapshot *latest, struct route *next);

/* Replaces a route by what route_find() has found, and counts the tunnel there. */
void route_replace(struct route *r, const struct route *next);

/* Gives the reference to the snapshot back. */
void route_release(struct route *r);

#endif
