#include "pinproxy/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/util.h"
#include "trust/peerchain.h"

/* Connections at the same time: they must fit into any limit of descriptors. */
#define AT_ONCE 64

struct probe_run {
    struct thread thread;
    struct probe *probes;
    size_t count;
    size_t next;
    size_t open;
};

static void start_more(struct probe_run *run);

static struct probe *from_upstream(struct upstream *u)
{
    return container_of(u, struct probe, connection);
}

/* Copies what is needed of the connection, which is freed. */
static void note_server(struct probe *p)
{
    const struct upstream *u = &p->connection;
    const struct trust_verdict *v = tls_verdict(u->tls);
    size_t i;

    snprintf(p->tls, sizeof(p->tls), "%s", tls_version(u->tls));
    snprintf(p->cipher, sizeof(p->cipher), "%s", tls_cipher(u->tls));
    p->reported = v->reported;
    p->pin = v->pin;
    if (v->learned) {
        p->learned = *v->learned;
        snprintf(p->learned_text, sizeof(p->learned_text), "%s", v->learned->text);
        p->learned.text = p->learned_text;
        p->pin = &p->learned;
    }
    p->chain_count = peerchain_length(v);
    p->chain = xcalloc(p->chain_count, sizeof(*p->chain));
    for (i = 0; i < p->chain_count; i++)
        (void)peerchain_describe(v, i, &p->chain[i]);
    if (p->reason != REASON_OK && p->chain_count > 0)
        p->pki = peerchain_pki(u->section->policy, v, clock_now());
}

static void on_step(struct upstream *u)
{
    struct probe *p = from_upstream(u);

    p->reason = u->state == UPSTREAM_READY ? REASON_OK : u->reason;
    p->detail = xstrdup(u->detail ? u->detail : "");
    upstream_name(u, p->upstream);
    if (u->tls)
        note_server(p);
    upstream_end(&p->connection);
}

static void on_closed(struct upstream *u)
{
    struct probe_run *run = from_upstream(u)->run;

    run->open--;
    start_more(run);
}

static const struct upstream_events events = {on_step, on_closed};

static void start_more(struct probe_run *run)
{
    while (run->open < AT_ONCE && run->next < run->count) {
        struct probe *p = &run->probes[run->next++];

        if (!p->section)
            continue;
        p->run = run;
        p->reason = REASON_NONE;
        run->open++;
        upstream_start(&p->connection, &run->thread, p->section, UPSTREAM_FOR_PROBE, &events);
    }
    if (run->open == 0)
        thread_close(&run->thread);
}

int probe_run(struct probe *probes, size_t count)
{
    struct probe_run run = {.probes = probes, .count = count};

    if (thread_init(&run.thread) != 0)
        return -1;
    start_more(&run);
    uv_run(&run.thread.loop, UV_RUN_DEFAULT);
    thread_free(&run.thread);
    return 0;
}

void probe_clear(struct probe *p)
{
    size_t i;

    for (i = 0; i < p->chain_count; i++)
        cert_info_free(&p->chain[i]);
    free(p->chain);
    free(p->pki);
    free(p->detail);
    p->detail = NULL;
    p->chain = NULL;
    p->chain_count = 0;
    p->pki = NULL;
}
