/*
 * A snapshot: one configuration that is ready to run and never changes. Each user holds a reference
 * to it. A reload builds the next snapshot beside it. It owns nothing that belongs to a loop.
 */
#ifndef PROXY_SNAPSHOT_H
#define PROXY_SNAPSHOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "config/diag.h"
#include "config/section.h"
#include "dialog/dialog.h"
#include "front/front.h"
#include "proxy/stats.h"
#include "trust/trust.h"

struct filter_ops;
struct ssl_ctx_st;
struct tlsctx_set;
struct transport_ops;

/*
 * A front end: where clients come in, apart from the section that they reach. Listeners, workers
 * and tunnels carry the front end; the tunnel takes the section from it. A reload finds a front end
 * again by its name.
 */
struct frontend {
    const char *name; /* for logs */
    const struct config_listens *listen;
    const struct front_ops *front; /* what its clients speak first */
    const struct section *section; /* where its clients go to; NULL: they name it */
    struct stats *stats;           /* of its clients until they have a section: the section's own */
    uint64_t max_connections;      /* 0: no limit of its own */
    int64_t keepalive;             /* milliseconds, of the clients' connections */
    bool is_outer;                 /* its clients are other sections (proxy/outer.h) */
};

struct section {
    const struct config_section *config;
    struct policy *policy;
    const struct transport_ops *transport; /* to the server or to its parent proxy */
    struct dialog_list dialogs;            /* before TLS */
    const struct filter_ops *filter;       /* of the first bytes after it, or NULL */
    struct ssl_ctx_st *ctx;                /* of the snapshot's set */
    struct stats *stats;                   /* a reference */
    const struct frontend *outer;          /* of the section that `via` names, or NULL */
    struct snapshot *snapshot;             /* that it is a part of */
};

/*
 * Writes where a connection of a section goes to, for people: the peer's address; or, if peer is
 * NULL or of length 0, the socket, device or program of its `via`, or "HOST:PORT". Returns out.
 */
#define SECTION_UPSTREAM_SIZE 320
const char *section_upstream(const struct section *s, const struct addr *peer,
                             char out[SECTION_UPSTREAM_SIZE]);

struct snapshot {
    _Atomic unsigned refs;
    struct config *config;
    struct tlsctx_set *contexts;
    struct learned *learned;  /* a reference; NULL when no section learns */
    struct section *sections; /* in the order of config->sections */
    size_t count;
    struct frontend *frontends; /* of each section, with or without listeners, in that order */
    size_t frontend_count;
    struct frontend *outers; /* of each section as the outer one of another */
};

/*
 * Makes a configuration ready to run, and takes ownership of it. Everything that can fail is done
 * here. Counters continue from the old snapshot, which may be NULL. Returns a snapshot with one
 * reference, the caller's, or NULL after adding to diags.
 */
struct snapshot *snapshot_new(struct config *config, const struct snapshot *old,
                              struct diag_list *diags);

/*
 * Loads the configuration at path and makes it ready to run, as every start and reload does: a
 * reload passes the old snapshot. Returns a snapshot with one reference, the caller's, or NULL
 * after adding to diags.
 */
struct snapshot *snapshot_load(const char *path, const struct snapshot *old,
                               struct diag_list *diags);

/*
 * Does as snapshot_load() does at a start, for a user other than the daemon's. If this process may
 * not read the learned pins, that is no error: the sections that learn are without them, and
 * section_is_denied() is true for them.
 */
struct snapshot *snapshot_load_readable(const char *path, struct diag_list *diags);

/*
 * Returns true if a section learns pins and this process may not read them. Which servers it trusts
 * is then unknown.
 */
bool section_is_denied(const struct section *s);

/* Does as snapshot_new() does, for a probe: its sections trust nobody. */
struct snapshot *snapshot_new_probe(struct config *config, struct diag_list *diags);

/*
 * Creates the directory of learned pins if a section learns and it is missing. Checks that only
 * root and user can change its contents (learned_open()). Adds to diags what is wrong.
 */
void snapshot_create_state_dir(const struct snapshot *s, uid_t user, struct diag_list *diags);

/* Takes one more reference. Returns s. */
struct snapshot *snapshot_hold(struct snapshot *s);

/* Gives a reference back, and frees the snapshot with the last one. s may be NULL. */
void snapshot_release(struct snapshot *s);

/*
 * Checks whether a server that was trusted under a section of an earlier snapshot may stay under
 * this one: recheck_verdict() by the section of that name. If there is no such section any more,
 * its own on_pin_removed decides. since is as recheck_verdict() has it. Returns REASON_OK, or why
 * not with a detail.
 */
enum reason snapshot_recheck(const struct snapshot *s, const struct section *before,
                             const struct trust_verdict *verdict, int64_t since,
                             char detail[TRUST_DETAIL_SIZE]);

/* Returns the section of this name, or NULL. It lives as long as the snapshot. */
struct section *snapshot_find(const struct snapshot *s, const char *name);

/*
 * Returns the section for a host and port that a client has named, or NULL if no section has them.
 * Compares names as hostname_compare() does. The section lives as long as the snapshot.
 */
const struct section *snapshot_route(const struct snapshot *s, const char *host, long port);

/* Returns the front end of this name, or NULL. It lives as long as the snapshot. */
const struct frontend *snapshot_find_frontend(const struct snapshot *s, const char *name);

/* Returns the front end that a front end of another snapshot is now, or NULL. It lives as long as s. */
const struct frontend *snapshot_same_frontend(const struct snapshot *s,
                                              const struct frontend *other);

#endif
