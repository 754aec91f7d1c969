/*
 * Probes: connections that show what a server presents. They are made and checked as those of a
 * tunnel are, and ended without a byte of plaintext. If the server asks for a client certificate, a
 * probe waits for its answer, which comes after the handshake in TLS 1.3.
 */
#ifndef PINPROXY_PROBE_H
#define PINPROXY_PROBE_H

#include <stddef.h>

#include "proxy/upstream.h"

struct probe {
    const struct section
        *section; /* set by the caller; NULL: no probe. probe_run() sets the rest */

    enum reason reason; /* REASON_OK: the server is trusted */
    char *detail;       /* "" if there is none */
    char upstream[SECTION_UPSTREAM_SIZE];
    char tls[16];
    char cipher[64];
    const struct pin *pin; /* that matched, in the configuration or in learned; or NULL */
    struct pin learned;    /* a copy of the learned pin that matched */
    char learned_text[PIN_TEXT_SIZE];
    enum reason reported;    /* the mismatch, if the section only reports it; else REASON_OK */
    struct cert_info *chain; /* as it was presented, the server's own first */
    size_t chain_count;
    bool asks; /* the server has asked for a client certificate */
    char *pki; /* of a server that was refused, as peerchain_pki() returns it; or NULL */

    struct upstream connection;
    uv_timer_t patience; /* ends the wait for that answer */
    bool is_waiting;
    struct probe_run *run;
};

/*
 * Runs all probes, several at the same time, and returns when all have ended. Returns 0, or -1 if
 * there is no event loop.
 */
int probe_run(struct probe *probes, size_t count);

/* Frees everything that probe_run() has allocated in a probe. */
void probe_clear(struct probe *p);

#endif
