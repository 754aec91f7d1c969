#include "proxy/pinfetch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/util.h"
#include "http/response.h"
#include "learned/hpkp.h"
#include "proxy/connlog.h"
#include "proxy/upstream.h"
#include "trust/policy.h"

#define DAY_MS (UINT64_C(1000) * DAY_SECONDS)
#define RETRY_MS (UINT64_C(1000) * 3600)

/* What a host announces counts for so long at most. */
#define LONGEST (INT64_C(60) * DAY_SECONDS)

/* Hosts are asked one after the other, not all in one moment. */
#define STAGGER_MS 20

/* For the answer, as for the handshake before it, which has its own option. */
#define ANSWER_MS 10000

/* A host that is asked: one section's. */
struct job {
    struct pinfetch *pinfetch;
    char *name; /* the section's */
    uint8_t policy_id[POLICY_ID_SIZE];
    uv_timer_t timer; /* when to ask, and then the answer's deadline */
    int holds;        /* the timer, the upstream */
    bool wanted;      /* not closing */

    struct snapshot *snapshot; /* a reference, while asking */
    struct upstream upstream;
    bool asking;  /* from upstream_start() to its closed event */
    bool asked;   /* the request is out */
    bool over;    /* it has come to an end, and is being closed */
    bool unknown; /* its section has yet to keep the key seen first */
    struct strbuf answer;

    struct learn_job *learn;
    struct learn_owner learn_owner;
    struct hpkp pkp; /* being kept */
    int64_t until;
    LIST_ENTRY(job) link;
};

struct pinfetch {
    struct thread *thread;
    struct snapshot *snapshot; /* a reference */
    LIST_HEAD(, job) jobs;
    bool closing;
};

static void ask(uv_timer_t *timer);

struct pinfetch *pinfetch_new(struct thread *thread)
{
    struct pinfetch *a = xcalloc(1, sizeof(*a));

    a->thread = thread;
    LIST_INIT(&a->jobs);
    return a;
}

static void free_if_done(struct pinfetch *a)
{
    if (!a->closing || !LIST_EMPTY(&a->jobs))
        return;
    snapshot_release(a->snapshot);
    free(a);
}

static void release(struct job *j)
{
    struct pinfetch *a = j->pinfetch;

    if (--j->holds > 0)
        return;
    LIST_REMOVE(j, link);
    snapshot_release(j->snapshot);
    strbuf_free(&j->answer);
    free(j->name);
    free(j);
    free_if_done(a);
}

static void on_timer_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static void drop(struct job *j)
{
    if (!j->wanted)
        return;
    j->wanted = false;
    learn_cancel(j->learn);
    j->learn = NULL;
    if (j->asking)
        upstream_close(&j->upstream, true);
    uv_close((uv_handle_t *)&j->timer, on_timer_closed);
}

/* The connection has done its part; the next one is due after that long. */
static void finish(struct job *j, uint64_t next_ms)
{
    j->over = true;
    upstream_end(&j->upstream);
    if (j->wanted)
        uv_timer_start(&j->timer, ask, next_ms, 0);
}

static void give_up(struct job *j, const char *why)
{
    char name[SECTION_UPSTREAM_SIZE];
    struct log_line l;

    log_begin(&l, LOG_LEVEL_WARNING, "pins_url_failed", j->name);
    log_add(&l, "upstream", upstream_name(&j->upstream, name));
    log_add(&l, "detail", why);
    log_end(&l);
    finish(j, RETRY_MS);
}

/* Returns whether the host has announced a key before, and it is accepted. */
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
        give_up(j, detail);
        return;
    }
    for (i = 0; i < j->pkp.count; i++)
        connlog_learned(j->name, j->pkp.pins[i], LEARNED_PINS_URL, NULL, j->until);
    finish(j, DAY_MS);
}

/* RFC 7469 section 2.5 and 2.6: today's key is among them, and one that is not in use. */
static const char *check_pins(const struct upstream *u, const struct hpkp *pkp)
{
    const struct trust_verdict *v = tls_verdict(u->tls);
    size_t i, current = 0;

    if (v->reported != REASON_OK || !v->pin || tls_is_resumed(u->tls))
        return "the connection was not accepted on a pin";
    for (i = 0; i < pkp->count; i++) {
        const struct pin pin = pin_make(PIN_SERVER, PIN_KEY, pkp->pins[i]);

        current += pin_matches(&pin, PIN_SERVER, &v->server);
    }
    if (pkp->max_age == 0)
        return NULL;
    if (current == 0)
        return "the key in use is not among the pins that the host announces";
    return pkp->count > current ? NULL : "the host announces no backup pin, of a key not in use";
}

static void take(struct job *j, const struct hpkp *pkp)
{
    const struct policy *policy = j->upstream.section->policy;
    struct learn_order order = {
        .kind = LEARN_ANNOUNCED, .section = j->upstream.section, .now = clock_now()};
    const char *why = check_pins(&j->upstream, pkp);
    struct policy_pins known;
    size_t i;

    if (!why && !policy_trace_pin(policy, tls_verdict(j->upstream.tls)->pin, &order.via))
        why = "the pin that the connection was accepted on has been removed";
    if (why) {
        give_up(j, why);
        return;
    }
    order.until = order.now + (pkp->max_age < LONGEST ? pkp->max_age : LONGEST);
    order.until -= order.until % DAY_SECONDS;
    if (pkp->max_age && order.until <= order.now) {
        give_up(j, "max-age is over before the day is");
        return;
    }
    /* a pin of the configuration ends when the configuration says so */
    for (i = 0, order.count = 0; pkp->max_age && i < pkp->count; i++)
        if (!policy_is_pinned(policy->section, pkp->pins[i]))
            memcpy(order.digests[order.count++], pkp->pins[i], CERT_DIGEST_SIZE);
    /* those that are new, to be logged when they are stored */
    policy_pins(policy, &known);
    j->until = order.until;
    j->pkp.count = 0;
    for (i = 0; i < order.count; i++)
        if (!is_announced(&known, order.digests[i]))
            memcpy(j->pkp.pins[j->pkp.count++], order.digests[i], CERT_DIGEST_SIZE);
    j->learn_owner.done = on_learned;
    j->learn = learn_start(&j->pinfetch->thread->loop, &order, &j->learn_owner);
    if (!j->learn)
        give_up(j, "out of memory");
}

static void send_request(struct job *j)
{
    struct upstream *u = &j->upstream;
    const struct config_section *s = u->section->config;
    struct strbuf text = {0};

    /* an IPv6 zone is this machine's alone: RFC 6874 section 1 */
    strbuf_addf(&text, "GET %s HTTP/1.1\r\nHost: ", s->pins_url);
    strbuf_addf(&text, strchr(s->host, ':') ? "[%.*s]" : "%.*s", (int)strcspn(s->host, "%"),
                s->host);
    if (s->port != 443)
        strbuf_addf(&text, ":%ld", s->port);
    strbuf_add(&text, "\r\nUser-Agent: pinproxyd/" PACKAGE_VERSION
                      "\r\nAccept: */*\r\nConnection: close\r\n\r\n");
    (void)tls_write(u->tls, (const uint8_t *)text.data, text.len);
    upstream_flush(u);
    strbuf_free(&text);
    j->asked = true;
}

static void on_overdue(uv_timer_t *timer)
{
    give_up(timer->data, "no answer in time");
}

/*
 * Looks for the announced pins in what has been received of the response. Returns HTTP_HEAD with
 * *pins, HTTP_MORE, or HTTP_BAD with *why.
 */
static enum http_result find_pins(const struct strbuf *response, bool ended, struct hpkp *pins,
                                  const char **why)
{
    struct http_response head;
    struct http_text value;
    size_t consumed;
    enum http_result result = http_response_parse(strbuf_text(response), response->len, &head,
                                                  &consumed, why);

    if (result == HTTP_MORE && ended) {
        *why = "the response broke off";
        return HTTP_BAD;
    }
    if (result != HTTP_HEAD)
        return result;
    *why = "the response has no " HPKP_FIELD " field";
    if (!http_response_find_field(&head, HPKP_FIELD, &value))
        return HTTP_BAD;
    *why = hpkp_parse(value.bytes, value.len, pins);
    return *why ? HTTP_BAD : HTTP_HEAD;
}

static void read_answer(struct job *j)
{
    struct upstream *u = &j->upstream;
    const char *why = NULL;
    enum tls_result result;
    struct hpkp pkp;
    size_t n;

    u->readable = false;
    result = tls_read(u->tls, j->pinfetch->thread->plaintext, TLS_PLAINTEXT_SIZE, &n);
    upstream_flush(u);
    if (n > HTTP_HEAD_MAX - j->answer.len)
        n = HTTP_HEAD_MAX - j->answer.len; /* a head that is longer is refused */
    strbuf_add_bytes(&j->answer, (const char *)j->pinfetch->thread->plaintext, n);
    switch (find_pins(&j->answer, result != TLS_OK && result != TLS_WANT_READ, &pkp, &why)) {
    case HTTP_MORE:
        endpoint_want_read(&u->conn, true);
        return;
    case HTTP_HEAD:
        break;
    case HTTP_BAD:
        uv_timer_stop(&j->timer);
        give_up(j, why);
        return;
    }
    uv_timer_stop(&j->timer);
    endpoint_want_read(&u->conn, false);
    take(j, &pkp);
}

static struct job *from_upstream(struct upstream *u)
{
    return container_of(u, struct job, upstream);
}

static void on_step(struct upstream *u)
{
    struct job *j = from_upstream(u);
    struct connlog c;

    if (!j->wanted || j->over || j->learn)
        return;
    if (u->state == UPSTREAM_FAILED) {
        /* a key that has yet to be seen first is the first client's matter, and no failure */
        j->unknown = u->reason == REASON_FIRST_USE;
        c = upstream_connlog(u, NULL);
        if (!j->unknown)
            connlog_failed(&c, u->reason, u->detail);
        finish(j, RETRY_MS);
        return;
    }
    if (u->state != UPSTREAM_READY)
        return;
    if (!j->asked) {
        uv_timer_start(&j->timer, on_overdue, ANSWER_MS, 0);
        send_request(j);
    }
    if (u->readable)
        read_answer(j);
}

static void on_closed(struct upstream *u)
{
    struct job *j = from_upstream(u);

    j->asking = false;
    snapshot_release(j->snapshot);
    j->snapshot = NULL;
    release(j);
}

static const struct upstream_events upstream_events = {on_step, on_closed};

/* Time to ask, with the configuration as it is now. */
static void ask(uv_timer_t *timer)
{
    struct job *j = timer->data;
    const struct section *section = snapshot_find(j->pinfetch->snapshot, j->name);

    if (j->asking || !section) {
        uv_timer_start(&j->timer, ask, STAGGER_MS, 0);
        return;
    }
    j->snapshot = snapshot_hold(j->pinfetch->snapshot);
    j->asking = true;
    j->asked = j->over = j->unknown = false;
    strbuf_clear(&j->answer);
    j->holds++;
    upstream_start(&j->upstream, j->pinfetch->thread, section, UPSTREAM_FOR_FETCH,
                   &upstream_events);
}

static void add(struct pinfetch *a, const struct section *s, uint64_t delay_ms)
{
    struct job *j = xcalloc(1, sizeof(*j));

    j->pinfetch = a;
    j->name = xstrdup(s->config->name);
    memcpy(j->policy_id, s->policy->id, sizeof(j->policy_id));
    j->wanted = true;
    j->holds = 1;
    uv_timer_init(&a->thread->loop, &j->timer);
    j->timer.data = j;
    uv_timer_start(&j->timer, ask, delay_ms, 0);
    LIST_INSERT_HEAD(&a->jobs, j, link);
}

static void wake(struct pinfetch *a)
{
    struct job *j;

    LIST_FOREACH (j, &a->jobs, link)
        if (j->wanted && j->unknown)
            uv_timer_start(&j->timer, ask, 0, 0);
}

/* What is under way was begun with a configuration that is no longer in service. */
static void ask_again(struct job *j)
{
    if (j->asking && !j->over && !j->learn)
        finish(j, STAGGER_MS);
}

/* Whether a job is for this section (NULL: none), under the same trust. */
static bool is_for(const struct job *j, const struct section *s)
{
    return s && s->config->pins_url
           && memcmp(j->policy_id, s->policy->id, sizeof(j->policy_id)) == 0;
}

void pinfetch_update(struct pinfetch *a, struct snapshot *snapshot)
{
    struct job *j, *next;
    uint64_t delay = 0;
    bool *has_job;
    size_t i;

    if (snapshot == a->snapshot) {
        wake(a);
        return;
    }
    snapshot_release(a->snapshot);
    a->snapshot = snapshot_hold(snapshot);
    has_job = xcalloc(snapshot->count, sizeof(*has_job));
    for (j = LIST_FIRST(&a->jobs); j; j = next) {
        const struct section *s = snapshot_find(snapshot, j->name);

        next = LIST_NEXT(j, link);
        if (!j->wanted)
            continue;
        if (is_for(j, s)) {
            has_job[s - snapshot->sections] = true;
            ask_again(j);
        } else {
            drop(j);
        }
    }
    for (i = 0; i < snapshot->count; i++) {
        const struct section *s = &snapshot->sections[i];

        if (!s->config->pins_url)
            continue;
        learn_remove_stale(&a->thread->loop, s);
        if (!has_job[i])
            add(a, s, STAGGER_MS * delay++);
    }
    free(has_job);
    wake(a);
}

void pinfetch_close(struct pinfetch *a)
{
    struct job *j, *next;

    if (!a)
        return;
    a->closing = true;
    for (j = LIST_FIRST(&a->jobs); j; j = next) {
        next = LIST_NEXT(j, link);
        drop(j);
    }
    free_if_done(a);
}
