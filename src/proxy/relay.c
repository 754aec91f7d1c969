#include "proxy/relay.h"

#include <string.h>

#include "net/endpoint.h"
#include "proxy/upstream.h"

/* Bytes of answers, to a server's key updates, that it may leave unread and still be read. */
#define ANSWERS_MAX (16 * 1024)

/* If the client takes nothing for so long after the server's reset, the rest is given up. */
#define STUCK_MS 400

/*
 * Without a further byte for so long, first bytes that may be a ClientHello are sent: TLS clients
 * do not pause there, and a protocol of that kind may wait for an answer.
 */
#define HELD_MS 2000

/* Why a relay ended. */
struct end {
    enum reason reason;
    const char *detail;
};

static enum relay_result end(struct end *e, enum relay_result result, enum reason reason,
                             const char *detail)
{
    e->reason = reason;
    e->detail = detail;
    return result;
}

static uint64_t now(const struct relay *r)
{
    return uv_now(&r->upstream->thread->loop);
}

/*
 * Many servers (nginx among them) answer close_notify by closing TCP. The client gets its reset all
 * the same, for it may have waited for more; but nobody need be warned of it. If the server had
 * sent the last word, it is the ordinary end of a connection that is kept alive.
 */
static enum relay_result cut(const struct relay *r, struct end *e)
{
    const char *loss = upstream_loss(r->upstream);

    if (!r->client_eof || r->received != r->received_before_eof)
        return end(e, RELAY_CUT, REASON_TRUNCATED, loss);
    return end(e, RELAY_CUT, r->answered || r->sent == 0 ? REASON_OK : REASON_UNANSWERED,
               *loss ? loss
                     : "the server closed without close_notify after the client had finished");
}

static bool is_allowed(const struct upstream *u)
{
    return u->section->config->truncation == TRUNCATION_ALLOW && !u->conn.error
           && tls_is_between_records(u->tls);
}

static void deliver(struct relay *r, size_t n)
{
    const struct upstream *u = r->upstream;

    r->answered = true;
    if (r->client->write_error)
        return; /* nobody is there to take it */
    r->received += n;
    stats_add(u->section->stats, STATS_RECEIVED, n);
    r->last_activity = now(r);
    endpoint_write(r->client, u->thread->plaintext, n);
}

/* Reads records and writes their plaintext to the client. */
static enum relay_result relay_to_client(struct relay *r, struct end *e)
{
    struct upstream *u = r->upstream;
    enum tls_result result;
    enum reason reason;
    const char *detail;
    size_t n;

    if (!u->readable || r->server_eof)
        return RELAY_OPEN;
    u->readable = false;
    result = tls_read(u->tls, u->thread->plaintext, TLS_PLAINTEXT_SIZE, &n);
    upstream_flush(u);
    if (n > 0)
        deliver(r, n);
    switch (result) {
    case TLS_OK:
    case TLS_WANT_READ:
        return RELAY_OPEN;
    case TLS_TRUNCATED:
        if (!is_allowed(u))
            return cut(r, e);
        break;
    case TLS_CLOSED:
        break;
    case TLS_FAILED:
    case TLS_FIRST_USE:
        reason = tls_failure(u->tls, &detail);
        return end(e, RELAY_CUT, reason, detail);
    }
    r->server_eof = true;
    endpoint_shutdown(r->client);
    return RELAY_OPEN;
}

static enum relay_result send_plaintext(struct relay *r, struct end *e, const uint8_t *bytes,
                                        size_t n)
{
    struct upstream *u = r->upstream;
    enum reason reason;
    const char *detail;

    if (n == 0 || u->conn.write_error)
        return RELAY_OPEN;
    if (tls_write(u->tls, bytes, n) != TLS_OK) {
        reason = tls_failure(u->tls, &detail);
        return end(e, RELAY_ABORTED, reason, detail);
    }
    r->sent += n;
    r->answered = false;
    stats_add(u->section->stats, STATS_SENT, n);
    r->last_activity = now(r);
    upstream_flush(u);
    return RELAY_OPEN;
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
    r->checked = result == CLIENTHELLO_NO;
    if (result == CLIENTHELLO_PARTIAL) {
        memcpy(r->held, first, held + more);
        r->held_count = held + more;
        r->last_activity = now(r);
    }
    return result;
}

/* Sends what was held. */
static enum relay_result release_held(struct relay *r, struct end *e)
{
    const size_t n = r->held_count;

    r->checked = true;
    r->held_count = 0;
    return send_plaintext(r, e, r->held, n);
}

/* Writes what this event has brought from the client as records. */
static enum relay_result take_client_bytes(struct relay *r, struct end *e)
{
    const uint8_t *bytes = r->client_bytes;
    enum relay_result result;

    r->client_bytes = NULL;
    if (!bytes)
        return RELAY_OPEN;
    if (!r->checked)
        switch (check_first_bytes(r, bytes, r->client_count)) {
        case CLIENTHELLO_YES:
            return end(e, RELAY_ABORTED, REASON_TLS_FROM_CLIENT, "");
        case CLIENTHELLO_PARTIAL:
            return RELAY_OPEN;
        case CLIENTHELLO_NO:
            break;
        }
    result = release_held(r, e);
    return result == RELAY_OPEN ? send_plaintext(r, e, bytes, r->client_count) : result;
}

/* Writes the client's bytes as records, and its end as close_notify. */
static enum relay_result relay_to_server(struct relay *r, struct end *e)
{
    enum relay_result result = take_client_bytes(r, e);

    if (result != RELAY_OPEN || !r->client->eof || r->client_eof)
        return result;
    result = release_held(r, e);
    r->client_eof = true;
    r->received_before_eof = r->received;
    tls_close_notify(r->upstream->tls);
    upstream_flush(r->upstream);
    return result;
}

static enum relay_result check_client(const struct relay *r, struct end *e)
{
    if (!endpoint_is_reset(r->client))
        return RELAY_OPEN;
    /* no close_notify: to the server this must not look like a complete request */
    return end(e, RELAY_ABORTED, REASON_CLIENT_RESET,
               r->client->error == UV_ETIMEDOUT
                   ? "the client no longer acknowledges anything (keepalive)"
                   : "");
}

static enum relay_result check_upstream(const struct relay *r, struct end *e)
{
    if (!r->upstream->conn.write_error || !r->server_eof || r->client_eof)
        return RELAY_OPEN;
    /*
     * the server takes nothing more; what it sent before its close_notify is the client's all the
     * same
     */
    if (!endpoint_is_idle(r->client) || endpoint_unsent(r->client) > 0)
        return RELAY_OPEN;
    return end(e, RELAY_CUT, REASON_UPSTREAM_CLOSED, "");
}

static void update_interest(struct relay *r)
{
    struct endpoint *conn = &r->upstream->conn;

    endpoint_want_read(r->client, endpoint_is_idle(conn) && !r->client_eof && !conn->write_error);
    endpoint_want_read(conn, endpoint_is_idle(r->client) && !r->server_eof
                                 && endpoint_queued(conn) <= ANSWERS_MAX);
}

static bool is_finished(const struct relay *r)
{
    const struct endpoint *conn = &r->upstream->conn;

    if (!r->client_eof || !endpoint_is_idle(r->client))
        return false;
    if (r->server_eof)
        return endpoint_is_idle(conn) || conn->write_error;
    /*
     * a Unix client that has closed reads no answer: it is over when the server has what was sent
     */
    return r->client->write_error && endpoint_is_idle(conn) && endpoint_unsent(conn) == 0;
}

/*
 * The server has reset. What came before is still read as fast as the client takes it, which is
 * noticed even if it takes less than a turn; a client that takes nothing is not waited for.
 */
static bool is_stuck(const struct relay *r)
{
    const struct endpoint *conn = &r->upstream->conn;

    return conn->write_error && conn->write_error != UV_EPIPE && !r->server_eof;
}

static void note_stuck(struct relay *r)
{
    if (!is_stuck(r) || r->stuck)
        return;
    r->stuck = true;
    r->backlog = endpoint_backlog(r->client);
    r->last_activity = now(r);
}

static enum relay_result hurry_client(struct relay *r, struct end *e)
{
    const size_t backlog = endpoint_backlog(r->client);

    if (backlog >= r->backlog)
        return cut(r, e);
    r->backlog = backlog;
    r->last_activity = now(r);
    return RELAY_OPEN;
}

static enum relay_result step(struct relay *r, struct end *e)
{
    enum relay_result result = check_client(r, e);

    if (result == RELAY_OPEN)
        result = relay_to_client(r, e);
    if (result == RELAY_OPEN)
        result = relay_to_server(r, e);
    if (result == RELAY_OPEN)
        result = check_client(r, e);
    if (result == RELAY_OPEN)
        result = check_upstream(r, e);
    if (result != RELAY_OPEN)
        return result;
    if (is_finished(r))
        return RELAY_FINISHED;
    update_interest(r);
    note_stuck(r);
    if (relay_is_half_closed(r) && !r->was_half_closed)
        r->last_activity = now(r); /* the other side has all of its time */
    r->was_half_closed = relay_is_half_closed(r);
    return RELAY_OPEN;
}

void relay_init(struct relay *r, struct endpoint *client, struct upstream *upstream)
{
    memset(r, 0, sizeof(*r));
    r->client = client;
    r->upstream = upstream;
}

enum relay_result relay_step(struct relay *r, enum reason *reason, const char **detail)
{
    struct end e = {REASON_OK, ""};
    enum relay_result result = step(r, &e);

    *reason = e.reason;
    *detail = e.detail;
    return result;
}

int64_t relay_patience(const struct relay *r)
{
    if (is_stuck(r))
        return STUCK_MS;
    return r->held_count ? HELD_MS : 0;
}

enum relay_result relay_hurry(struct relay *r, enum reason *reason, const char **detail)
{
    struct end e = {REASON_OK, ""};
    enum relay_result result = is_stuck(r) ? hurry_client(r, &e) : release_held(r, &e);

    if (result == RELAY_OPEN)
        result = step(r, &e);
    *reason = e.reason;
    *detail = e.detail;
    return result;
}

bool relay_is_half_closed(const struct relay *r)
{
    return r->client_eof || r->server_eof || r->client->fin_received;
}
