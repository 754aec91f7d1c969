/*
 * Probes: connections that are made and judged as a tunnel's would be, and then ended without a
 * byte of plaintext, to see what servers present.
 */
#ifndef PINPROXY_PROBE_H
#define PINPROXY_PROBE_H

#include <stddef.h>

#include "proxy/upstream.h"

struct probe {
    const struct section *section; /* set by the caller, NULL for none; all else by probe_run() */

    enum reason reason; /* REASON_OK: trusted */
    char *detail;       /* "": none */
    char upstream[SECTION_UPSTREAM_SIZE];
    char tls[16];
    char cipher[64];
    const struct pin *pin; /* that matched, the configuration's or learned; or NULL */
    struct pin learned;
    char learned_text[PIN_TEXT_SIZE];
    enum reason reported; /* what the pins said, where the section only reports; else REASON_OK */
    struct cert_info *chain;
    size_t chain_count;
    char *pki; /* for a server that was refused: see peerchain_pki(). Or NULL */

    struct upstream connection;
    struct probe_run *run;
};

/* Probes all of them, many at once. 0, or -1 when there is no event loop to be had. */
int probe_run(struct probe *probes, size_t count);

/* Frees what probe_run() filled in. */
void probe_clear(struct probe *p);

#endif
