#include "pinproxy/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/util.h"
#include "proxy/outer.h"
#include "proxy/tunnels.h"
#include "trust/peerchain.h"

/* Connections at the same time: they must fit into any limit of descriptors. */
#define AT_ONCE 64

struct probe_run {
    struct thread thread;
    struct tunnels tunnels; /* that sections are reached through */
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
    p->asks = tls_is_asked(u->tls);
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

static void finish(struct probe *p, enum reason reason, const char *detail)
{
    struct upstream *u = &p->connection;

    uv_timer_stop(&p->patience);
    p->is_waiting = false;
    p->reason = reason;
    p->detail = xstrdup(detail ? detail : "");
    upstream_name(u, p->upstream);
    if (u->tls)
        note_server(p);
    upstream_end(u);
}

/* The server lets the connection live, without a ticket: it has accepted the client. */
static void on_patience(uv_timer_t *timer)
{
    finish(timer->data, REASON_OK, NULL);
}

/*
 * Waits for the server's answer to the client certificate. close_notify makes it come soon: a
 * server that has accepted the client then closes the connection.
 */
static void start_waiting(struct probe *p)
{
    struct upstream *u = &p->connection;

    p->is_waiting = true;
    tls_close_notify(u->tls);
    upstream_flush(u);
    endpoint_want_read(&u->conn, true);
    uv_timer_start(&p->patience, on_patience, (uint64_t)u->section->config->handshake_timeout, 0);
}

/* Reads what the server has sent. Plaintext is not shown to anyone. */
static void read_answer(struct probe *p)
{
    struct upstream *u = &p->connection;
    enum tls_result result;
    enum reason reason;
    const char *detail;
    size_t n;

    do
        result = tls_read(u->tls, u->thread->plaintext, TLS_PLAINTEXT_SIZE, &n);
    while (result == TLS_OK);
    upstream_flush(u);
    if (result == TLS_FAILED) {
        reason = tls_failure(u->tls, &detail);
        finish(p, reason, detail);
    } else if (result != TLS_WANT_READ || !tls_awaits_acceptance(u->tls)) {
        finish(p, REASON_OK, NULL);
    }
}

static void on_step(struct upstream *u)
{
    struct probe *p = from_upstream(u);

    if (u->state != UPSTREAM_READY) {
        finish(p, u->reason, u->detail);
        return;
    }
    if (!p->is_waiting && !tls_awaits_acceptance(u->tls)) {
        finish(p, REASON_OK, NULL);
        return;
    }
    if (!p->is_waiting)
        start_waiting(p);
    read_answer(p);
}

static void on_patience_closed(uv_handle_t *timer)
{
    struct probe_run *run = ((struct probe *)timer->data)->run;

    run->open--;
    start_more(run);
}

static void on_closed(struct upstream *u)
{
    uv_close((uv_handle_t *)&from_upstream(u)->patience, on_patience_closed);
}

static const struct upstream_events events = {on_step, on_closed};

static void close_at_end(struct probe_run *run)
{
    if (run->open == 0 && tunnels_is_empty(&run->tunnels))
        thread_close(&run->thread);
}

static void start_more(struct probe_run *run)
{
    while (run->open < AT_ONCE && run->next < run->count) {
        struct probe *p = &run->probes[run->next++];

        if (!p->section)
            continue;
        p->run = run;
        p->reason = REASON_NONE;
        (void)uv_timer_init(&run->thread.loop, &p->patience); /* cannot fail */
        p->patience.data = p;
        run->open++;
        upstream_start(&p->connection, &run->thread, p->section, UPSTREAM_FOR_PROBE, &events);
    }
    close_at_end(run);
}

static void on_freed(struct tunnels *t)
{
    close_at_end(container_of(t, struct probe_run, tunnels));
}

static const struct tunnels_ops tunnels_ops = {.freed = on_freed};

int probe_run(struct probe *probes, size_t count)
{
    struct probe_run run = {.probes = probes, .count = count};

    if (thread_init(&run.thread) != 0)
        return -1;
    tunnels_init(&run.tunnels, &run.thread, &tunnels_ops);
    run.thread.start_outer = outer_start;
    run.thread.probes = true;
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
