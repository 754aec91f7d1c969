/* A connection that no configuration file knows: one section, made from the command line. */
#ifndef PINPROXY_ADHOC_H
#define PINPROXY_ADHOC_H

#include "config/section.h"
#include "proxy/snapshot.h"

struct adhoc {
    struct config *config;
    struct config_section *section; /* with every default, but for what was set */
    struct snapshot *snapshot;      /* once it is ready; owns the configuration then */
};

/*
 * These return NULL, or a sentence on what is wrong that lives as long as the oneoff. It must be
 * freed in either case.
 */
const char *adhoc_init(struct adhoc *o, const char *host_and_port);
const char *adhoc_set(struct adhoc *o, const char *option, const char *value);
const char *adhoc_set_timeout(struct adhoc *o, const char *value);

/* Made ready to connect; problems are printed. NULL on failure. */
const struct section *adhoc_ready(struct adhoc *o);

/* The same, to look only: the section trusts nobody. */
const struct section *adhoc_probe(struct adhoc *o);

void adhoc_free(struct adhoc *o);

#endif
