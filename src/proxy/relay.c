#include "proxy/relay.h"

#include <string.h>

#include "net/endpoint.h"
#include "proxy/upstream.h"

/* Bytes of answers, to a server's key updates, that it may leave unread and still be read. */
#define ANSWERS_MOST (16 * 1024)

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
    return uv_now(&r->upstream->reactor->loop);
}

/*
 * Many servers (nginx among them) answer close_notify by closing TCP. The client gets its reset all
 * the same, for it may have waited for more; but nobody need be warned of it.
 */
static bool is_unanswered(const struct relay *r)
{
    return r->client_finished && r->received == r->received_before_finish;
}

/* Reads records and writes their plaintext to the client. */
static enum relay_result relay_to_client(struct relay *r, struct end *e)
{
    struct upstream *u = r->upstream;
    uint8_t *plaintext = u->reactor->plaintext;
    enum tls_result result;
    enum reason reason;
    const char *detail;
    size_t n;

    if (!u->fresh || r->server_finished)
        return RELAY_OPEN;
    u->fresh = false;
    result = tls_read(u->tls, plaintext, TLS_PLAINTEXT_SIZE, &n);
    upstream_flush(u);
    if (n > 0) {
        r->received += n;
        stats_add(&u->section->stats->received, n);
        r->last_byte = now(r);
        endpoint_write(r->client, plaintext, n);
    }
    switch (result) {
    case TLS_OK:
    case TLS_MORE:
        return RELAY_OPEN;
    case TLS_TRUNCATED:
        if (u->section->config->truncation == TRUNCATION_ALLOW && !u->wire.error)
            break;
        return end(e, RELAY_CUT, is_unanswered(r) ? REASON_UNANSWERED : REASON_TRUNCATED,
                   u->wire.error ? "the server reset the connection" : "");
    case TLS_FINISHED:
        break;
    case TLS_FAILED:
    case TLS_FIRST_USE:
        reason = tls_failure(u->tls, &detail);
        return end(e, RELAY_CUT, reason, detail);
    }
    r->server_finished = true;
    endpoint_finish(r->client);
    return RELAY_OPEN;
}

/* Writes the client's plaintext as records, and its end as close_notify. */
static enum relay_result relay_to_server(struct relay *r, struct end *e)
{
    struct upstream *u = r->upstream;
    const uint8_t *bytes = r->client_bytes;
    const char *detail;
    enum reason reason;

    r->client_bytes = NULL;
    if (bytes && !u->wire.write_error) {
        if (r->sent == 0 && tls_is_client_hello(bytes, r->client_count))
            return end(e, RELAY_ABORTED, REASON_TLS_FROM_CLIENT, "");
        if (tls_write(u->tls, bytes, r->client_count) != TLS_OK) {
            reason = tls_failure(u->tls, &detail);
            return end(e, RELAY_ABORTED, reason, detail);
        }
        r->sent += r->client_count;
        stats_add(&u->section->stats->sent, r->client_count);
        r->last_byte = now(r);
        upstream_flush(u);
    }
    if (r->client->ended && !r->client_finished) {
        r->client_finished = true;
        r->received_before_finish = r->received;
        tls_finish(u->tls);
        upstream_flush(u);
    }
    return RELAY_OPEN;
}

/* Checks the streams themselves. */
static enum relay_result check_streams(const struct relay *r, struct end *e)
{
    const struct endpoint *wire = &r->upstream->wire;

    /* no close_notify: to the server this must not look like a complete request */
    if (r->client->error || r->client->write_error)
        return end(e, RELAY_ABORTED, REASON_CLIENT_RESET, "");
    /* what the server sent before it went is still read; after its close_notify there is nothing */
    if (wire->write_error && r->server_finished && !r->client_finished)
        return end(e, RELAY_CUT, REASON_UPSTREAM_CLOSED, "");
    return RELAY_OPEN;
}

static void update_interest(struct relay *r)
{
    struct endpoint *wire = &r->upstream->wire;

    endpoint_want_read(r->client,
                       endpoint_is_idle(wire) && !r->client_finished && !wire->write_error);
    endpoint_want_read(wire, endpoint_is_idle(r->client) && !r->server_finished
                                 && endpoint_queued(wire) <= ANSWERS_MOST);
}

static bool is_finished(const struct relay *r)
{
    const struct endpoint *wire = &r->upstream->wire;

    return r->client_finished && r->server_finished && endpoint_is_idle(r->client)
           && (endpoint_is_idle(wire) || wire->write_error);
}

static enum relay_result step(struct relay *r, struct end *e)
{
    const bool was_half_closed = relay_is_half_closed(r);
    enum relay_result result = relay_to_client(r, e);

    if (result == RELAY_OPEN)
        result = relay_to_server(r, e);
    if (result == RELAY_OPEN)
        result = check_streams(r, e);
    if (result != RELAY_OPEN)
        return result;
    if (is_finished(r))
        return RELAY_FINISHED;
    update_interest(r);
    if (relay_is_half_closed(r) && !was_half_closed)
        r->last_byte = now(r); /* the other side has all of its time */
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

bool relay_is_half_closed(const struct relay *r)
{
    return r->client_finished || r->server_finished;
}
