#include "proxy/route.h"

void route_init(struct route *r, struct snapshot *snapshot, const struct frontend *frontend)
{
    r->snapshot = snapshot;
    r->frontend = frontend;
    r->section = frontend->section;
    r->stats = frontend->stats;
}

bool route_choose(struct route *r, const struct front_target *target)
{
    r->section = snapshot_route(r->snapshot, target->host, target->port);
    if (!r->section)
        return false;
    stats_move(r->stats, r->section->stats);
    r->stats = r->section->stats;
    return true;
}

bool route_find(const struct route *r, struct snapshot *latest, struct route *next)
{
    const struct frontend *frontend = snapshot_same_frontend(latest, r->frontend);

    if (!frontend)
        return false;
    route_init(next, latest, frontend);
    next->section = r->section ? snapshot_find(latest, r->section->config->name) : NULL;
    if (r->section && !next->section)
        return false;
    if (next->section)
        next->stats = next->section->stats;
    (void)snapshot_hold(latest);
    return true;
}

void route_replace(struct route *r, const struct route *next)
{
    /* the counters are not the same if the section was away for one reload */
    stats_move(r->stats, next->stats);
    snapshot_release(r->snapshot);
    *r = *next;
}

void route_release(struct route *r)
{
    snapshot_release(r->snapshot);
}
