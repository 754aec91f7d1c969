/*
 * A tunnel: one client, one upstream, and the bytes between them.
 *
 *     GREETING -> UPSTREAM -> RELAY -> (LINGER ->) CLOSING -> freed
 *         \___________\__________________/
 *
 * GREETING  the front reads the client's greeting (front.h); a raw client has none, and is not read
 * UPSTREAM  the upstream is dialled and judged, by the latest configuration; the client is not read
 * RELAY     both are read, each while the other has nothing waiting to be written
 * LINGER    the stream broke off: the client gets what was authenticated, then a reset; or it was
 *           refused: it gets the front's answer and the end of the stream
 * CLOSING   the handles are being closed
 *
 * tunnel_step() looks at the state, moves all that can move, and derives what to wait for. It is
 * entered from events only, never from itself. RELAY is entered in one place.
 */
#ifndef PROXY_TUNNEL_H
#define PROXY_TUNNEL_H

#include <stdbool.h>

#include "net/stream.h"
#include "proxy/snapshot.h"
#include "proxy/thread.h"

struct tunnel;
struct upstream;

struct tunnel_events {
    /* Its server is trusted, and bytes are about to flow. May be NULL. */
    void (*opening)(struct tunnel *t, void *owner);
    /* The tunnel has ended. reason: how; detail: more words, or "". Comes once. May be NULL. */
    void (*ended)(struct tunnel *t, enum reason reason, const char *detail, void *owner);
    /* Its handles are closed; it is freed after this call. */
    void (*freed)(struct tunnel *t, void *owner);
};

/*
 * Starts a tunnel for a client that has come in by a front end of the snapshot. Takes ownership of
 * the client and of a reference to the snapshot. The caller has counted it as STATS_TUNNELS of the
 * front end. Calls no event. Returns NULL if memory is short; then the client is closed.
 */
struct tunnel *tunnel_start(struct thread *thread, struct snapshot *snapshot,
                            const struct frontend *frontend, const struct stream *client,
                            const struct tunnel_events *events, void *owner);

/*
 * Applies a configuration that has replaced the tunnel's own. A tunnel that is not open yet takes
 * it over, with a reference: its server is judged by it alone. If its front end or its section is
 * no longer there, nobody is trusted, and it is ended. A tunnel that is open keeps its own, and is ended if its
 * server is revoked now, or if its pin is gone where on_pin_removed = close.
 */
void tunnel_apply(struct tunnel *t, struct snapshot *now);

/* Ends a tunnel at once, with resets on both sides. Idempotent. */
void tunnel_kill(struct tunnel *t, enum reason reason);

/*
 * Returns true if the server's stream broke off, so that the client gets a reset: for use within
 * ended(). The reason may be REASON_OK all the same, where the log has no fault to report.
 */
bool tunnel_is_cut(const struct tunnel *t);

/* The upstream's side, to be looked at within ended(). */
const struct upstream *tunnel_upstream(const struct tunnel *t);

#endif
