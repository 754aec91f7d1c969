#include "proxy/relay.h"

#include <string.h>

#include "filter/filter.h"
#include "net/endpoint.h"
#include "proxy/deadline.h"
#include "proxy/loss.h"
#include "proxy/upstream.h"

/* A server that leaves more bytes of answers (to its key updates) unread is not read either. */
#define ANSWERS_MAX (16 * 1024)

/* If the client takes nothing for this long after the server's reset, the rest is discarded. */
#define STUCK_MS 400

/*
 * First bytes that may be a ClientHello are sent if no further byte comes for this long: TLS
 * clients do not pause there, and another protocol that begins so may wait for an answer.
 */
#define HELD_MS 2000

static const struct relay_end still_open = {RELAY_OPEN, REASON_OK, ""};

static struct relay_end make_end(enum relay_result result, enum reason reason, const char *detail)
{
    return (struct relay_end){result, reason, detail};
}

static uint64_t now(const struct relay *r)
{
    return uv_now(&r->upstream->thread->loop);
}

/*
 * Many servers (nginx among them) answer close_notify by closing TCP. The client still gets a
 * reset, since it may wait for more, but the log has no warning. If the server had answered, this
 * is the ordinary end of a connection that was kept alive.
 */
static struct relay_end cut_relay(const struct relay *r)
{
    const char *loss = loss_cause(&r->upstream->conn);

    if (!r->close_notify_sent || r->received != r->received_before_eof)
        return make_end(RELAY_CUT, REASON_TRUNCATED, loss);
    return make_end(RELAY_CUT, r->answered || r->sent == 0 ? REASON_OK : REASON_UNANSWERED,
                    *loss ? loss
                          : "the server closed without close_notify after the client had finished");
}

static bool is_allowed(const struct upstream *u)
{
    return u->section->config->truncation == TRUNCATION_ALLOW && !u->conn.error
           && tls_is_between_records(u->tls);
}

static void deliver(struct relay *r, const uint8_t *bytes, size_t n)
{
    const struct upstream *u = r->upstream;

    r->answered = true;
    if (r->client->write_error)
        return; /* the client takes nothing any more */
    r->received += n;
    stats_add(u->section->stats, STATS_RECEIVED, n);
    r->last_activity = now(r);
    endpoint_write(r->client, bytes, n);
}

static struct relay_end write_plaintext(const struct relay *r, const uint8_t *bytes, size_t n)
{
    struct tls *tls = r->upstream->tls;
    enum reason reason;
    const char *detail;

    if (tls_write(tls, bytes, n) == TLS_OK)
        return still_open;
    reason = tls_failure(tls, &detail);
    return make_end(RELAY_ABORTED, reason, detail);
}

struct relay_end relay_send_header(struct relay *r, const uint8_t *bytes, size_t n)
{
    const struct relay_end e = write_plaintext(r, bytes, n);

    upstream_flush(r->upstream);
    return e;
}

static struct relay_end send_plaintext(struct relay *r, const uint8_t *bytes, size_t n)
{
    struct upstream *u = r->upstream;
    struct relay_end e;

    if (n == 0 || u->conn.write_error)
        return still_open;
    e = write_plaintext(r, bytes, n);
    if (e.result != RELAY_OPEN)
        return e;
    r->sent += n;
    r->answered = false;
    stats_add(u->section->stats, STATS_SENT, n);
    r->last_activity = now(r);
    upstream_flush(u);
    return still_open;
}

/* Gives the filter bytes, or the end of a direction (n = 0), and sends what it makes of them. */
static struct relay_end run_filter(struct relay *r, enum filter_way way, const uint8_t *bytes,
                                   size_t n)
{
    const enum filter_result result = filter_feed(r->filter, way, bytes, n);
    struct relay_end e = still_open;
    const uint8_t *out;
    enum reason reason;
    const char *detail;

    out = filter_output(r->filter, FILTER_TO_CLIENT, &n);
    if (n > 0)
        deliver(r, out, n);
    if (result == FILTER_FAILED) {
        reason = filter_failure(r->filter, &detail);
        return make_end(n > 0 ? RELAY_CUT : RELAY_ABORTED, reason, detail);
    }
    out = filter_output(r->filter, FILTER_TO_SERVER, &n);
    if (n > 0)
        e = send_plaintext(r, out, n);
    if (result == FILTER_DONE) {
        filter_free(r->filter);
        r->filter = NULL;
    }
    return e;
}

/* Passes on n bytes, which are not 0. */
static struct relay_end pass_to_client(struct relay *r, const uint8_t *bytes, size_t n)
{
    if (r->filter)
        return run_filter(r, FILTER_TO_CLIENT, bytes, n);
    deliver(r, bytes, n);
    return still_open;
}

static struct relay_end pass_to_server(struct relay *r, const uint8_t *bytes, size_t n)
{
    if (r->filter && n > 0)
        return run_filter(r, FILTER_TO_SERVER, bytes, n);
    return send_plaintext(r, bytes, n);
}

/* The server's stream has ended in order. */
static struct relay_end finish_to_client(struct relay *r)
{
    struct relay_end e = still_open;

    if (r->filter)
        e = run_filter(r, FILTER_TO_CLIENT, NULL, 0);
    if (e.result != RELAY_OPEN)
        return e; /* no FIN: what the client has must not look whole */
    r->fin_sent = true;
    endpoint_shutdown(r->client);
    return e;
}

/* Reads records and writes their plaintext to the client. */
static struct relay_end relay_to_client(struct relay *r)
{
    struct upstream *u = r->upstream;
    struct relay_end e = still_open;
    enum tls_result result;
    enum reason reason;
    const char *detail;
    size_t n;

    if (!u->readable || r->fin_sent)
        return still_open;
    u->readable = false;
    result = tls_read(u->tls, u->thread->plaintext, TLS_PLAINTEXT_SIZE, &n);
    upstream_flush(u);
    if (n > 0)
        e = pass_to_client(r, u->thread->plaintext, n);
    if (e.result != RELAY_OPEN)
        return e;
    switch (result) {
    case TLS_OK:
    case TLS_WANT_READ:
        return still_open;
    case TLS_TRUNCATED:
        if (!is_allowed(u))
            return cut_relay(r);
        break;
    case TLS_CLOSED:
        break;
    case TLS_FAILED:
    case TLS_FIRST_USE:
        reason = tls_failure(u->tls, &detail);
        return make_end(RELAY_CUT, reason, detail);
    }
    return finish_to_client(r);
}

/*
 * Holds the client's first bytes for as long as they may be a ClientHello, so that nothing of one
 * is sent. Returns CLIENTHELLO_PARTIAL if the bytes of this event are held now.
 */
static enum clienthello check_first_bytes(struct relay *r, const uint8_t *bytes, size_t n)
{
    uint8_t first[CLIENTHELLO_SIZE];
    const size_t held = r->held_count, room = sizeof(first) - held, more = n < room ? n : room;
    enum clienthello result;

    memcpy(first, r->held, held);
    memcpy(first + held, bytes, more);
    result = clienthello_check(first, held + more);
    r->first_bytes_checked = result == CLIENTHELLO_NO;
    if (result == CLIENTHELLO_PARTIAL) {
        memcpy(r->held, first, held + more);
        r->held_count = held + more;
        r->last_activity = now(r);
    }
    return result;
}

/* Sends what was held. */
static struct relay_end release_held(struct relay *r)
{
    const size_t n = r->held_count;

    r->first_bytes_checked = true;
    r->held_count = 0;
    return pass_to_server(r, r->held, n);
}

/* Writes what this event has brought from the client as records. */
static struct relay_end take_client_bytes(struct relay *r)
{
    const uint8_t *bytes = r->client_bytes;
    struct relay_end e;

    r->client_bytes = NULL;
    if (!bytes)
        return still_open;
    if (!r->first_bytes_checked)
        switch (check_first_bytes(r, bytes, r->client_count)) {
        case CLIENTHELLO_YES:
            return make_end(RELAY_ABORTED, REASON_TLS_FROM_CLIENT, "");
        case CLIENTHELLO_PARTIAL:
            return still_open;
        case CLIENTHELLO_NO:
            break;
        }
    e = release_held(r);
    return e.result == RELAY_OPEN ? pass_to_server(r, bytes, r->client_count) : e;
}

/* Writes the client's bytes as records, and its end as close_notify. */
static struct relay_end relay_to_server(struct relay *r)
{
    struct relay_end e = take_client_bytes(r);

    if (e.result != RELAY_OPEN || !r->client->eof || r->close_notify_sent)
        return e;
    e = release_held(r);
    if (e.result == RELAY_OPEN && r->filter)
        e = run_filter(r, FILTER_TO_SERVER, NULL, 0);
    if (e.result != RELAY_OPEN)
        return e; /* no close_notify, for the same reason */
    r->close_notify_sent = true;
    r->received_before_eof = r->received;
    tls_close_notify(r->upstream->tls);
    upstream_flush(r->upstream);
    return e;
}

static struct relay_end check_client(const struct relay *r)
{
    if (!endpoint_is_reset(r->client))
        return still_open;
    /* without close_notify: the server must not take this for a complete request */
    return make_end(RELAY_ABORTED, REASON_CLIENT_RESET,
                    r->client->error == UV_ETIMEDOUT
                        ? "the client no longer acknowledges anything (keepalive)"
                        : "");
}

static struct relay_end check_upstream(const struct relay *r)
{
    if (!r->upstream->conn.write_error || !r->fin_sent || r->close_notify_sent)
        return still_open;
    /* the server takes nothing more, but the client still gets what came before close_notify */
    if (!endpoint_is_idle(r->client) || endpoint_unsent(r->client) > 0)
        return still_open;
    return make_end(RELAY_CUT, REASON_UPSTREAM_CLOSED, "");
}

static void update_interest(struct relay *r)
{
    struct endpoint *conn = &r->upstream->conn;

    endpoint_want_read(r->client,
                       endpoint_is_idle(conn) && !r->close_notify_sent && !conn->write_error);
    endpoint_want_read(conn, endpoint_is_idle(r->client) && !r->fin_sent
                                 && endpoint_queued(conn) <= ANSWERS_MAX);
}

static bool is_finished(const struct relay *r)
{
    const struct endpoint *conn = &r->upstream->conn;

    if (!r->close_notify_sent || !endpoint_is_idle(r->client))
        return false;
    if (r->fin_sent)
        return endpoint_is_idle(conn) || conn->write_error;
    /* a Unix client that has closed reads no answer: the end is when the server has everything */
    return r->client->write_error && endpoint_is_idle(conn) && endpoint_unsent(conn) == 0;
}

/*
 * Returns true if the server has reset and not all of its bytes are read. They are still read as
 * fast as the client takes them, even if it takes less than a turn. A client that takes nothing is
 * not waited for.
 */
static bool is_stuck(const struct relay *r)
{
    const struct endpoint *conn = &r->upstream->conn;

    return conn->write_error && conn->write_error != UV_EPIPE && !r->fin_sent;
}

static void note_stuck(struct relay *r)
{
    if (!is_stuck(r) || r->stuck)
        return;
    r->stuck = true;
    r->backlog = endpoint_backlog(r->client);
    r->last_activity = now(r);
}

static struct relay_end hurry_client(struct relay *r)
{
    const size_t backlog = endpoint_backlog(r->client);

    if (backlog >= r->backlog)
        return cut_relay(r);
    r->backlog = backlog;
    r->last_activity = now(r);
    return still_open;
}

/*
 * Returns true if one of the two sides has finished sending in order. Of the client this is known
 * even while the server does not take what the client has sent.
 */
static bool is_half_closed(const struct relay *r)
{
    return r->close_notify_sent || r->fin_sent || r->client->fin_received;
}

void relay_init(struct relay *r, struct endpoint *client, struct upstream *upstream)
{
    memset(r, 0, sizeof(*r));
    r->client = client;
    r->upstream = upstream;
}

void relay_free(struct relay *r)
{
    filter_free(r->filter);
    r->filter = NULL;
}

struct relay_end relay_start(struct relay *r, bool is_outer)
{
    const struct filter_ops *ops = r->upstream->filter;
    struct strbuf *greeting = &r->upstream->negotiation.greeting;
    struct relay_end e;

    if (is_outer)
        return still_open;
    if (ops) {
        r->filter = filter_new(ops);
        if (!r->filter)
            return make_end(RELAY_ABORTED, REASON_MEMORY, "");
    }
    if (greeting->len == 0)
        return still_open;
    e = pass_to_client(r, (const uint8_t *)greeting->data, greeting->len);
    strbuf_free(greeting);
    return e;
}

struct relay_end relay_step(struct relay *r)
{
    struct relay_end e = check_client(r);

    if (e.result == RELAY_OPEN)
        e = relay_to_client(r);
    if (e.result == RELAY_OPEN)
        e = relay_to_server(r);
    if (e.result == RELAY_OPEN)
        e = check_client(r);
    if (e.result == RELAY_OPEN)
        e = check_upstream(r);
    if (e.result != RELAY_OPEN)
        return e;
    if (is_finished(r))
        return make_end(RELAY_FINISHED, REASON_OK, "");
    update_interest(r);
    note_stuck(r);
    if (is_half_closed(r) && !r->was_half_closed)
        r->last_activity = now(r); /* the other side has all of its time */
    r->was_half_closed = is_half_closed(r);
    return still_open;
}

/* Returns the time for which relay_hurry() waits, in milliseconds; 0: it waits for nothing. */
static int64_t patience(const struct relay *r)
{
    if (is_stuck(r))
        return STUCK_MS;
    return r->held_count ? HELD_MS : 0;
}

bool relay_is_waiting(const struct relay *r)
{
    return is_half_closed(r) || patience(r) > 0;
}

void relay_facts(const struct relay *r, struct deadline_facts *f)
{
    const bool client_has_finished = r->close_notify_sent || r->client->fin_received;

    f->last_activity = (int64_t)r->last_activity;
    f->hurry = patience(r);
    f->half_closed = is_half_closed(r);
    /*
     * A clean end would lose what still waits for the client. And if the client has finished, it
     * would make half of the server's answer look whole.
     */
    f->settled = endpoint_is_idle(r->client) && (r->fin_sent || !client_has_finished);
    f->sent = endpoint_is_idle(&r->upstream->conn);
}

struct relay_end relay_hurry(struct relay *r)
{
    const struct relay_end e = is_stuck(r) ? hurry_client(r) : release_held(r);

    return e.result == RELAY_OPEN ? relay_step(r) : e;
}
