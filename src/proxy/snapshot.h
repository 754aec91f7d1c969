/*
 * A snapshot: one configuration made ready to run, and never changed again. Whoever uses it holds a
 * reference; a reload builds the next one beside it. It owns nothing that belongs to a loop.
 */
#ifndef PROXY_SNAPSHOT_H
#define PROXY_SNAPSHOT_H

#include <stdatomic.h>
#include <stddef.h>

#include "config/diag.h"
#include "config/section.h"
#include "dialog/dialog.h"
#include "front/front.h"
#include "proxy/stats.h"
#include "trust/trust.h"

struct ssl_ctx_st;
struct tlsctx_set;

/*
 * Where clients come in. Who accepts a client is not whom it reaches: listeners, workers and tunnels
 * carry the front end, and take the section from it. A reload knows a front end by its name.
 */
struct frontend {
    const char *name; /* for logs */
    const struct config_listens *listen;
    const struct front_ops *front; /* what its clients speak first */
    const struct section *section; /* where its clients go to; NULL: they name it */
    struct stats *stats;           /* of its clients until they have a section: the section's own */
    uint64_t max_connections;      /* 0: no limit of its own */
    int64_t keepalive;             /* milliseconds, of the clients' connections */
};

struct section {
    const struct config_section *config;
    struct policy *policy;
    struct dialog_list dialogs; /* before TLS; none yet */
    struct ssl_ctx_st *ctx;     /* of the snapshot's set */
    struct stats *stats;        /* a reference */
};

/*
 * Returns where connections of a section go to, for people: the peer's address, or "HOST:PORT" if
 * peer is NULL or of length 0. The text is in out.
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
    struct frontend
        *frontends; /* one for each section: its own listeners, of which it may have none */
    size_t frontend_count;
};

/*
 * Makes a configuration, which it takes over, ready to run: everything that can fail is done here.
 * What is counted goes on from the old snapshot, if there is one. NULL after adding to problems.
 */
struct snapshot *snapshot_new(struct config *config, const struct snapshot *old,
                              struct diag_list *diags);

/* Reads, checks and makes ready: all there is to starting and reloading. NULL with problems. */
struct snapshot *snapshot_load(const char *path, const struct snapshot *old,
                               struct diag_list *diags);

/*
 * As snapshot_load() at a start, for a user who need not be the daemon's: if the learned pins may
 * not be read, that is no problem, and the sections that learn are without them
 * (section_is_denied()).
 */
struct snapshot *snapshot_load_readable(const char *path, struct diag_list *diags);

/*
 * Returns whether a section learns pins and this process may not read them. What it then trusts is
 * unknown.
 */
bool section_is_denied(const struct section *s);

/* As snapshot_new() with one section that trusts nobody: to look at a server. */
struct snapshot *snapshot_new_probe(struct config *config, struct diag_list *diags);

/*
 * Makes the directory of learned pins, if it is wanted and not there, and checks that only root and
 * user can change what is in it (learned_open()). Adds to problems.
 */
void snapshot_create_state_dir(const struct snapshot *s, uid_t user, struct diag_list *diags);

struct snapshot *snapshot_hold(struct snapshot *s);
void snapshot_release(struct snapshot *s);

/*
 * Checks whether a server that was trusted under a section of an earlier snapshot may stay under
 * this one: recheck_verdict() by the section of that name. If there is no such section any more, its
 * own on_pin_removed decides. since is as recheck_verdict() has it. Returns REASON_OK, or why not
 * with a detail.
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

#endif
