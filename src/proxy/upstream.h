/*
 * One connection to a section's host: it connects, makes the handshake, and judges the server. It
 * is READY only after the section's policy has trusted the server on this very connection.
 *
 * Its owner (a tunnel, a request for pins, a probe) embeds it. Each event is one call of step(),
 * after which the owner reads the fields.
 */
#ifndef PROXY_UPSTREAM_H
#define PROXY_UPSTREAM_H

#include <stdbool.h>
#include <uv.h>

#include "base/addr.h"
#include "base/reason.h"
#include "net/endpoint.h"
#include "net/transport.h"
#include "proxy/connlog.h"
#include "proxy/learn.h"
#include "proxy/negotiation.h"
#include "proxy/snapshot.h"
#include "proxy/thread.h"
#include "tls/tls.h"

enum upstream_state {
    UPSTREAM_NEW,       /* zeroed */
    UPSTREAM_DIAL,      /* connects, within connect_timeout */
    UPSTREAM_DIALOG,    /* the section's dialogs run before TLS, within the rest of that; back to
                           DIAL if a parent proxy is to be asked for another server */
    UPSTREAM_HANDSHAKE, /* within handshake_timeout, which nothing extends */
    UPSTREAM_LEARN,     /* the key of a first use is being stored, within the rest of that */
    UPSTREAM_LEARNED,   /* it is stored, and the server is judged again */
    UPSTREAM_READY,     /* trusted: plaintext may flow; set in one place */
    UPSTREAM_FAILED,    /* reason and detail say why */
    UPSTREAM_ENDING,    /* upstream_end() was called: no more step() */
    UPSTREAM_CLOSING,   /* upstream_close() was called: no more step() */
};

/* The purpose of a connection. */
enum upstream_use {
    UPSTREAM_FOR_TUNNEL, /* stores the key of a first use, resumes sessions */
    UPSTREAM_FOR_WARM,   /* waits for a client: resumes sessions, leaves a first use to a client */
    UPSTREAM_FOR_FETCH,  /* asks for announced pins: neither */
    UPSTREAM_FOR_PROBE,  /* shows what the server presents: neither */
};

struct upstream;

struct upstream_events {
    /* READY or FAILED is reached; or, in READY, records were read or everything is written. */
    void (*step)(struct upstream *u);
    /* Every handle is closed and all memory freed. Called once, after upstream_close(). */
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
    struct addr peer; /* that it is connected to; len 0 before, and with a parent proxy */

    struct transport *transport; /* in DIAL */
    struct transport_owner transport_owner;
    struct endpoint conn;
    struct negotiation negotiation;
    const struct filter_ops *filter;   /* that fits the dialogs of this connection, or NULL */
    enum config_send_proxy send_proxy; /* that this connection's server expects */
    struct tls *tls;                   /* NULL before HANDSHAKE */
    uv_timer_t deadline;
    struct learn_job *learn;
    struct learn_owner learn_owner;
    bool overtaken; /* a reload has changed the address: no key of the old server is learned */
    bool readable;  /* READY: the TLS connection has records, or an end, that were not read yet */
    int holds;      /* handles not yet closed */
};

/* Starts a connection. Borrows the section until closed(). Does not call an event itself. */
void upstream_start(struct upstream *u, struct thread *thread, const struct section *section,
                    enum upstream_use use, const struct upstream_events *events);

/*
 * Continues a connection that is not READY under the section of the same name of another
 * configuration, and borrows that section instead. The server is judged by the new section alone.
 * In DIAL it connects again if the section's identity has changed, and in DIALOG if via, starttls,
 * host, port, address or sni has: a dialog must not say to one server, or parent proxy, what is for
 * another. Once the handshake has begun, it keeps its address, its filter, its header and its TLS settings.
 * Deadlines stay.
 *
 * If via, host, port, address or sni has changed during the handshake, the key of a first use is
 * refused: it would be stored for another server.
 */
void upstream_set_section(struct upstream *u, const struct section *section);

/* Sends the records that the TLS connection has written. Must be called after every use of u->tls. */
void upstream_flush(struct upstream *u);

/*
 * Ends a connection in order: sends close_notify and a FIN, and reads until the server ends as
 * well, for at most a second; otherwise bytes that the server has still sent (tickets of TLS 1.3)
 * would make the close a reset. Then closes, as upstream_close() does. Discards what it reads. No
 * plaintext may wait to be written.
 */
void upstream_end(struct upstream *u);

/* Closes a connection at once, in any state. With reset, the server sees a reset. Idempotent. */
void upstream_close(struct upstream *u, bool reset);

/* Returns where it goes to, for people: section_upstream(). */
const char *upstream_name(const struct upstream *u, char out[SECTION_UPSTREAM_SIZE]);

/* Returns what its log lines show. Borrows from u and client, which may be NULL. */
struct connlog upstream_connlog(const struct upstream *u, const struct addr *client);

#endif
