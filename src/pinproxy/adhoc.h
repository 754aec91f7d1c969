/* A configuration with one section, made from the arguments of a command instead of a file. */
#ifndef PINPROXY_ADHOC_H
#define PINPROXY_ADHOC_H

#include "config/section.h"
#include "proxy/snapshot.h"

struct adhoc {
    struct config *config;
    struct config_section *section; /* its options have their defaults until adhoc_set() */
    struct snapshot *snapshot;      /* NULL until it is ready; it then owns the configuration */
};

/*
 * Starts with a section for HOST[:PORT]. Returns NULL, or an error text that lives until
 * adhoc_free(). The caller calls adhoc_free() in both cases.
 */
const char *adhoc_init(struct adhoc *o, const char *host_and_port);

/*
 * Sets an option of a host's section by its name, to a value as in a configuration. Returns as
 * adhoc_init().
 */
const char *adhoc_set(struct adhoc *o, const char *option, const char *value);

/*
 * Sets `via`, whose paths are relative to the working directory. It cannot name a section, because
 * there is no other one. Returns as adhoc_init().
 */
const char *adhoc_set_via(struct adhoc *o, const char *value);

/* Sets connect_timeout and handshake_timeout. Returns as adhoc_init(). */
const char *adhoc_set_timeout(struct adhoc *o, const char *value);

/*
 * Makes the section ready to connect. Returns it, or NULL after printing the errors. It lives until
 * adhoc_free().
 */
const struct section *adhoc_ready(struct adhoc *o);

/* As adhoc_ready(), but the section trusts no server: it is for a probe alone. */
const struct section *adhoc_probe(struct adhoc *o);

/* Frees everything. */

void adhoc_free(struct adhoc *o);

#endif
