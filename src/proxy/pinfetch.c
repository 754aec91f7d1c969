#include "proxy/pinfetch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/util.h"
#include "proxy/announcement.h"
#include "proxy/connlog.h"
#include "proxy/proxyheader.h"
#include "proxy/upstream.h"
#include "trust/policy.h"

#define DAY_MS (UINT64_C(1000) * DAY_SECONDS)
#define RETRY_MS (UINT64_C(1000) * 3600)

/* The pause between two hosts at a start: they are not asked all in one moment. */
#define STAGGER_MS 20

/* The timeout of the response. The connection before it has timeouts that are options. */
#define RESPONSE_MS 10000

enum job_state {
    JOB_SCHEDULED,  /* no connection; `due` runs until the next one */
    JOB_CONNECTING, /* the upstream is not READY yet; it has its own timeouts */
    JOB_WAITING,    /* the request is sent; `deadline` runs */
    JOB_STORING,    /* the announced pins are being written */
    JOB_ENDING,     /* the connection ends, in order; `due` runs already */
    JOB_CLOSING,    /* the section was removed: frees itself when its last handle has closed */
};

/* The host of one section, which is asked. */
struct job {
    struct pinfetch *pinfetch;
    char *name; /* the section's */
    uint8_t policy_id[POLICY_ID_SIZE];
    enum job_state state;
    uv_timer_t due;      /* when to connect next */
    uv_timer_t deadline; /* for the response */
    int holds;           /* the timers, the upstream */

    struct snapshot *snapshot; /* a reference, from CONNECTING to the end of ENDING */
    struct upstream upstream;
    bool unknown; /* it ended because the section has no key yet: the first client stores it */
    struct strbuf response;

    struct learn_job *learn; /* in STORING */
    struct learn_owner learn_owner;
    struct hpkp stored; /* in STORING: the pins that are new, to be logged */
    int64_t until;
    LIST_ENTRY(job) link;
};

struct pinfetch {
    struct thread *thread;
    struct snapshot *snapshot; /* a reference */
    LIST_HEAD(, job) jobs;
    bool closing;
};

struct pinfetch *pinfetch_new(struct thread *thread)
{
    struct pinfetch *p = xcalloc(1, sizeof(*p));

    p->thread = thread;
    LIST_INIT(&p->jobs);
    return p;
}

static void free_if_done(struct pinfetch *p)
{
    if (!p->closing || !LIST_EMPTY(&p->jobs))
        return;
    snapshot_release(p->snapshot);
    free(p);
}

static void job_release(struct job *j)
{
    struct pinfetch *p = j->pinfetch;

    if (--j->holds > 0)
        return;
    LIST_REMOVE(j, link);
    strbuf_free(&j->response);
    free(j->name);
    free(j);
    free_if_done(p);
}

static void on_timer_closed(uv_handle_t *handle)
{
    job_release(handle->data);
}

static void job_fail(struct job *j, const char *why);

static void on_deadline(uv_timer_t *deadline)
{
    job_fail(deadline->data, "no response in time");
}

/*
 * The only place that changes the state: what is read and whether the deadline runs follow from it.
 */
static void set_state(struct job *j, enum job_state state)
{
    j->state = state;
    if (state == JOB_WAITING)
        uv_timer_start(&j->deadline, on_deadline, RESPONSE_MS, 0);
    else
        uv_timer_stop(&j->deadline);
    if (state == JOB_WAITING || state == JOB_STORING)
        endpoint_want_read(&j->upstream.conn, state == JOB_WAITING);
}

static void job_step(struct job *j);

static void on_due(uv_timer_t *due)
{
    job_step(due->data);
}

static void schedule(struct job *j, uint64_t ms)
{
    uv_timer_start(&j->due, on_due, ms, 0);
}

/* Ends the connection, in order. The next one is due after next_ms. */
static void job_finish(struct job *j, uint64_t next_ms)
{
    schedule(j, next_ms);
    set_state(j, JOB_ENDING);
    upstream_end(&j->upstream);
}

static void job_fail(struct job *j, const char *why)
{
    char name[SECTION_UPSTREAM_SIZE];
    struct log_line l;

    log_begin(&l, LOG_LEVEL_WARNING, "pins_url_failed", j->name);
    log_add(&l, "upstream", upstream_name(&j->upstream, name));
    log_add(&l, "detail", why);
    log_end(&l);
    job_finish(j, RETRY_MS);
}

/* Ends the job in any state. A write that has been started is made all the same. */
static void job_close(struct job *j)
{
    const bool connected = j->state != JOB_SCHEDULED;

    if (j->state == JOB_CLOSING)
        return;
    set_state(j, JOB_CLOSING);
    learn_cancel(j->learn);
    j->learn = NULL;
    if (connected)
        upstream_close(&j->upstream, true);
    uv_close((uv_handle_t *)&j->due, on_timer_closed);
    uv_close((uv_handle_t *)&j->deadline, on_timer_closed);
}

/* Returns true if the host has announced this key before, and it is accepted. */
static bool is_announced(const struct policy_pins *pins, const uint8_t *key)
{
    size_t i;

    for (i = 0; i < pins->count; i++)
        if (policy_pins_at(pins, i)->origin == PIN_ANNOUNCED
            && pin_is_of_key(policy_pins_at(pins, i), key))
            return true;
    return false;
}

static void on_learned(struct learn_owner *owner, enum learned_result result, const char *detail)
{
    struct job *j = container_of(owner, struct job, learn_owner);
    size_t i;

    j->learn = NULL;
    if (result == LEARNED_FAILED) {
        job_fail(j, detail);
        return;
    }
    for (i = 0; i < j->stored.count; i++)
        connlog_learned(j->name, j->stored.pins[i], LEARNED_PINS_URL, NULL, j->until);
    job_finish(j, DAY_MS);
}

/* Remembers which keys are new, to log them when they are stored. */
static void note_new_pins(struct job *j, const struct learn_order *order)
{
    struct policy_pins known;
    size_t i;

    policy_pins(order->section->policy, &known);
    j->until = order->until;
    j->stored.count = 0;
    for (i = 0; i < order->count; i++)
        if (!is_announced(&known, order->digests[i]))
            memcpy(j->stored.pins[j->stored.count++], order->digests[i], CERT_DIGEST_SIZE);
}

static void store_pins(struct job *j, const struct hpkp *announced)
{
    struct learn_order order = {
        .kind = LEARN_ANNOUNCED, .section = j->upstream.section, .now = clock_now()};
    const char *why = announcement_check(j->upstream.tls, announced, &order);

    if (why) {
        job_fail(j, why);
        return;
    }
    set_state(j, JOB_STORING);
    note_new_pins(j, &order);
    j->learn_owner.done = on_learned;
    j->learn = learn_start(&j->pinfetch->thread->loop, &order, &j->learn_owner);
    if (!j->learn)
        job_fail(j, "out of memory");
}

static void send_request(struct job *j)
{
    struct upstream *u = &j->upstream;
    const struct addr none = {0}; /* there is no client */
    uint8_t header[PROXYHEADER_MAX];
    struct strbuf text = {0};

    strbuf_add_bytes(&text, (const char *)header,
                     proxyheader_make(u->send_proxy, &none, &none, header));
    announcement_request(u->section->config, &text);
    (void)tls_write(u->tls, (const uint8_t *)text.data, text.len);
    upstream_flush(u);
    strbuf_free(&text);
}

static void read_response(struct job *j)
{
    struct upstream *u = &j->upstream;
    const char *why = NULL;
    enum http_result result;
    enum tls_result read;
    struct hpkp pins;
    size_t n;

    u->readable = false;
    read = tls_read(u->tls, j->pinfetch->thread->plaintext, TLS_PLAINTEXT_SIZE, &n);
    upstream_flush(u);
    if (n > HTTP_HEAD_MAX - j->response.len)
        n = HTTP_HEAD_MAX - j->response.len; /* a head that is longer is refused */
    strbuf_add_bytes(&j->response, (const char *)j->pinfetch->thread->plaintext, n);
    result = announcement_parse(&j->response, read != TLS_OK && read != TLS_WANT_READ, &pins, &why);
    if (result == HTTP_BAD)
        job_fail(j, why);
    else if (result == HTTP_HEAD)
        store_pins(j, &pins);
}

/* The upstream is READY or has FAILED. */
static void job_connected(struct job *j)
{
    struct upstream *u = &j->upstream;
    const struct connlog c = upstream_connlog(u, NULL);

    if (u->state == UPSTREAM_READY) {
        set_state(j, JOB_WAITING);
        send_request(j);
        return;
    }
    /* a first use is left to the first client, and is no failure */
    j->unknown = u->reason == REASON_FIRST_USE;
    if (!j->unknown)
        connlog_failed(&c, u->reason, u->detail);
    job_finish(j, RETRY_MS);
}

static void on_upstream_step(struct upstream *u)
{
    job_step(container_of(u, struct job, upstream));
}

static void on_upstream_closed(struct upstream *u)
{
    struct job *j = container_of(u, struct job, upstream);

    snapshot_release(j->snapshot);
    j->snapshot = NULL;
    if (j->state == JOB_ENDING) {
        set_state(j, JOB_SCHEDULED);
        job_step(j); /* it may be due already */
    }
    job_release(j);
}

static const struct upstream_events upstream_events = {on_upstream_step, on_upstream_closed};

/* Connects, with the configuration as it is now. */
static void job_connect(struct job *j)
{
    struct pinfetch *p = j->pinfetch;
    const struct section *section = snapshot_find(p->snapshot, j->name);

    if (!section) /* pinfetch_update() closes the job of such a section */
        return;
    j->snapshot = snapshot_hold(p->snapshot);
    j->unknown = false;
    strbuf_clear(&j->response);
    j->holds++;
    set_state(j, JOB_CONNECTING);
    upstream_start(&j->upstream, p->thread, section, UPSTREAM_FOR_FETCH, &upstream_events);
}

/* Does what the state and what has happened call for. */
static void job_step(struct job *j)
{
    struct upstream *u = &j->upstream;

    switch (j->state) {
    case JOB_SCHEDULED:
        if (!uv_is_active((const uv_handle_t *)&j->due))
            job_connect(j);
        break;
    case JOB_CONNECTING:
        job_connected(j);
        if (j->state == JOB_WAITING && u->readable)
            read_response(j);
        break;
    case JOB_WAITING:
        if (u->readable)
            read_response(j);
        break;
    case JOB_STORING: /* on_learned() continues */
    case JOB_ENDING:  /* on_upstream_closed() continues */
    case JOB_CLOSING:
        break;
    }
}

static void job_new(struct pinfetch *p, const struct section *s, uint64_t delay_ms)
{
    uv_loop_t *loop = &p->thread->loop;
    struct job *j = xcalloc(1, sizeof(*j));

    j->pinfetch = p;
    j->name = xstrdup(s->config->name);
    memcpy(j->policy_id, s->policy->id, sizeof(j->policy_id));
    uv_timer_init(loop, &j->due);
    uv_timer_init(loop, &j->deadline);
    j->due.data = j->deadline.data = j;
    j->holds = 2;
    LIST_INSERT_HEAD(&p->jobs, j, link);
    schedule(j, delay_ms);
}

/* Asks the hosts whose key was not known before. */
static void ask_unknown(struct pinfetch *p)
{
    struct job *j;

    LIST_FOREACH (j, &p->jobs, link)
        if (j->unknown && (j->state == JOB_SCHEDULED || j->state == JOB_ENDING))
            schedule(j, 0);
}

/* Asks again if the connection was made with a configuration that is no longer in service. */
static void job_restart(struct job *j)
{
    if (j->state == JOB_CONNECTING || j->state == JOB_WAITING)
        job_finish(j, STAGGER_MS);
}

/* Returns true if a job is for this section (NULL: none), under the same trust. */
static bool is_for(const struct job *j, const struct section *s)
{
    return s && s->config->pins_url
           && memcmp(j->policy_id, s->policy->id, sizeof(j->policy_id)) == 0;
}

/* Keeps the jobs whose section has stayed, and closes the others. Marks those that have a job. */
static void update_jobs(struct pinfetch *p, bool *has_job)
{
    struct job *j, *next;

    for (j = LIST_FIRST(&p->jobs); j; j = next) {
        const struct section *s = snapshot_find(p->snapshot, j->name);

        next = LIST_NEXT(j, link);
        if (j->state == JOB_CLOSING)
            continue;
        if (is_for(j, s)) {
            has_job[s - p->snapshot->sections] = true;
            job_restart(j);
        } else {
            job_close(j);
        }
    }
}

void pinfetch_update(struct pinfetch *p, struct snapshot *snapshot)
{
    uint64_t delay = 0;
    bool *has_job;
    size_t i;

    if (snapshot == p->snapshot) {
        ask_unknown(p);
        return;
    }
    snapshot_release(p->snapshot);
    p->snapshot = snapshot_hold(snapshot);
    has_job = xcalloc(snapshot->count, sizeof(*has_job));
    update_jobs(p, has_job);
    for (i = 0; i < snapshot->count; i++) {
        const struct section *s = &snapshot->sections[i];

        if (!s->config->pins_url)
            continue;
        learn_remove_stale(&p->thread->loop, s);
        if (!has_job[i])
            job_new(p, s, STAGGER_MS * delay++);
    }
    free(has_job);
    ask_unknown(p);
}

void pinfetch_close(struct pinfetch *p)
{
    struct job *j, *next;

    if (!p)
        return;
    p->closing = true;
    for (j = LIST_FIRST(&p->jobs); j; j = next) {
        next = LIST_NEXT(j, link);
        job_close(j);
    }
    free_if_done(p);
}
