/*
 * A tunnel: one client, one upstream, and the bytes between them.
 *
 *     GREETING -> UPSTREAM -> RELAY -> (LINGER ->) CLOSING -> freed
 *         \___________\__________________/
 *     WARM -------^
 *
 * WARM      there is no client yet: the upstream is dialled and judged, and waits (warm.h)
 * GREETING  the front reads the client's greeting (front.h); a raw client has none and is not read
 * UPSTREAM  the upstream is dialled and judged, by the latest configuration; the client is not read
 * RELAY     both are read, each while the other has nothing waiting to be written
 * LINGER    the server's stream broke off: the client gets what was authenticated, then a reset.
 *           Or the client was refused: it gets the front's answer, then the end of the stream
 * CLOSING   the handles are being closed
 *
 * tunnel_step() checks the state, moves all that can move, and derives what to wait for. Only
 * events call it. RELAY is entered in one place. deadline.h has the deadlines of RELAY; those for a
 * connection to the server, and for its handshake, are in upstream.c.
 */
#ifndef PROXY_TUNNEL_H
#define PROXY_TUNNEL_H

#include <stdbool.h>

#include "net/stream.h"
#include "proxy/ending.h"
#include "proxy/snapshot.h"
#include "proxy/thread.h"

/*
 * Starts a tunnel for a client of a front end of the snapshot. Takes ownership of
 * the client and of a reference to the snapshot. The caller has counted it as STATS_TUNNELS of the
 * front end. Calls no event. Returns NULL if memory is short; then the client is closed.
 */
struct tunnel *tunnel_start(struct thread *thread, struct snapshot *snapshot,
                            const struct frontend *frontend, const struct stream *client,
                            const struct tunnel_events *events, void *owner);

/*
 * Starts a tunnel without a client, for the section of a front end of the snapshot, whose clients
 * send no greeting. Takes ownership of a reference to the snapshot. events->opening is called when
 * the server is trusted, and events->ended if it is not, or if it ends the connection: that is no
 * tunnel's end, so nothing is counted. Returns NULL if memory is short.
 */
struct tunnel *tunnel_start_warm(struct thread *thread, struct snapshot *snapshot,
                                 const struct frontend *frontend,
                                 const struct tunnel_events *events, void *owner);

/*
 * Judges the server of a warm tunnel again, whole, by the configuration that it has and by the time
 * of day. Returns true if a client may have it at once. Returns false if the server is not trusted
 * yet, if it has just sent something, or if it is not to be trusted any more: then the tunnel ends.
 */
bool tunnel_is_ready(struct tunnel *t);

/*
 * Gives a warm tunnel for which tunnel_is_ready() has just returned true a client, which is counted
 * as for tunnel_start(), and another owner. Takes ownership of the client. The tunnel opens in this
 * call.
 */
void tunnel_attach(struct tunnel *t, const struct stream *client,
                   const struct tunnel_events *events, void *owner);

/* Ends a warm tunnel in order. */
void tunnel_end_warm(struct tunnel *t);

/*
 * Applies a configuration that has replaced the tunnel's own. A tunnel that is not open yet
 * continues under it, with a reference: its server is judged by it alone, and if its front end or
 * section was removed, the client is refused. A tunnel that is open keeps its own configuration. It
 * is ended if its server is revoked now, or if its pin was removed where on_pin_removed = close:
 * snapshot_recheck() decides it, by the rules of trust/recheck.h. A warm tunnel continues under it
 * as one that is not open, and its server is judged again if it was trusted before.
 */
void tunnel_apply(struct tunnel *t, struct snapshot *latest);

/* Ends a tunnel at once with resets on both sides, in any state. Idempotent. */
void tunnel_kill(struct tunnel *t, enum reason reason);

/*
 * Returns true if the server's stream broke off, so that the client gets a reset. For use in
 * ended(). The reason may still be REASON_OK, where there is no fault to report.
 */
bool tunnel_is_cut(const struct tunnel *t);

/* Returns the upstream's side, for use in ended(). A raw client's tunnel always has one. */
const struct upstream *tunnel_upstream(const struct tunnel *t);

#endif
