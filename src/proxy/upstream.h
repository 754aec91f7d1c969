/*
 * One connection to a section's host: dialled, shaken hands with, judged. It is READY only when the
 * server has been trusted by the section's policy on this very connection.
 *
 * Whoever wants such a connection (a tunnel, the tool's probe) embeds it. Every event arrives as
 * one call of step(), after which the owner looks at the fields.
 */
#ifndef PROXY_UPSTREAM_H
#define PROXY_UPSTREAM_H

#include <stdbool.h>
#include <uv.h>

#include "base/addr.h"
#include "base/reason.h"
#include "dialog/dialog.h"
#include "net/endpoint.h"
#include "net/transport.h"
#include "proxy/connlog.h"
#include "proxy/learn.h"
#include "proxy/snapshot.h"
#include "proxy/thread.h"
#include "tls/tls.h"

enum upstream_state {
    UPSTREAM_NEW,       /* zeroed */
    UPSTREAM_DIAL,      /* being connected, within connect_timeout */
    UPSTREAM_DIALOG,    /* the section's dialogs run before TLS, within the rest of that */
    UPSTREAM_HANDSHAKE, /* within handshake_timeout, which nothing extends */
    UPSTREAM_LEARN,     /* the key of a first use is being stored, within the rest of that */
    UPSTREAM_LEARNED,   /* it is stored, and the server is judged again */
    UPSTREAM_READY,     /* trusted: plaintext may flow. Set in one place */
    UPSTREAM_FAILED,    /* reason and detail say why */
    UPSTREAM_ENDING,    /* upstream_end() was called: no more step() */
    UPSTREAM_CLOSING,   /* upstream_close() was called: no more step() */
};

/* What a connection is made for. */
enum upstream_use {
    UPSTREAM_FOR_TUNNEL, /* stores the key of a first use, resumes sessions */
    UPSTREAM_FOR_FETCH,  /* asks for announced pins: neither */
    UPSTREAM_FOR_PROBE,  /* shows what the server presents: neither */
};

struct upstream;

struct upstream_events {
    /* READY or FAILED is reached, or in READY records have come or everything is written. */
    void (*step)(struct upstream *u);
    /* Every handle is gone and the memory free; comes once, after upstream_close(). */
    void (*closed)(struct upstream *u);
};

struct upstream {
    const struct upstream_events *events;
    struct thread *thread;
    const struct section *section;
    enum upstream_use use;
    enum upstream_state state;
    enum reason reason;
    char *detail;     /* or NULL */
    struct addr peer; /* what was connected to; len 0 before */

    struct transport *transport; /* NULL: none is connecting */
    struct transport_owner transport_owner;
    struct endpoint conn;
    struct dialog *dialog; /* in DIALOG, and in FAILED after it */
    struct tls *tls;       /* NULL before HANDSHAKE */
    uv_timer_t deadline;
    struct learn_job *learn;
    struct learn_owner learn_owner;
    bool overtaken; /* a reload has changed the address: no key is learned from the one before */
    bool readable;  /* READY: the engine has records or an end that were not yet read */
    int holds;      /* handles not yet closed */
};

/* Starts. The section must outlive it. No event is called from within. */
void upstream_start(struct upstream *u, struct thread *thread, const struct section *section,
                    enum upstream_use use, const struct upstream_events *events);

/*
 * Continues a connection that is not READY under another configuration's section of the same name,
 * which must outlive it from now on. Its server is judged by the new section alone. Address and TLS
 * settings stay, unless it is still dialling and something has changed: then it dials again.
 * Deadlines stay.
 * If host, port, address or sni has changed, a key that is seen first is refused: it would be stored
 * for another server.
 */
void upstream_set_section(struct upstream *u, const struct section *section);

/* Sends what the engine has written: to be called after every use of u->tls. */
void upstream_flush(struct upstream *u);

/*
 * Ends it in order: sends close_notify and a FIN, and reads until the server ends as well, for a
 * second at most, so that what it has still sent (tickets of TLS 1.3) does not make the close a
 * reset. Then it closes, as upstream_close() does. What is read is discarded. Plaintext must not be
 * waiting to be written.
 */
void upstream_end(struct upstream *u);

/* Ends it in any state, at once. Idempotent. reset: not in order, let the server see that. */
void upstream_close(struct upstream *u, bool reset);

/* Returns in words how the connection broke, or "" if the server has not broken it. A literal. */
const char *upstream_loss(const struct upstream *u);

/* Returns where it goes to, for people: section_upstream(). */
const char *upstream_name(const struct upstream *u, char out[SECTION_UPSTREAM_SIZE]);

/* Returns what its log lines show. Borrows from u and client, which may be NULL. */
struct connlog upstream_connlog(const struct upstream *u, const struct addr *client);

#endif
