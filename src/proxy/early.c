#include "proxy/early.h"

#include <poll.h>

#include "proxy/upstream.h"

/* A server that has sent more than this is not read further before there is a client. */
#define EARLY_MAX 4096

static bool has_ended(const struct endpoint *conn)
{
    return conn->eof || conn->fin_received || conn->error || conn->write_error;
}

enum reason early_read(struct upstream *u, const char **detail)
{
    enum tls_result result = TLS_WANT_READ;
    size_t n = 0;

    *detail = "";
    if (u->readable) {
        u->readable = false;
        result = tls_read(u->tls, u->thread->plaintext, TLS_PLAINTEXT_SIZE, &n);
        upstream_flush(u);
        strbuf_add_bytes(&u->negotiation.greeting, (const char *)u->thread->plaintext, n);
    }
    if (result == TLS_FAILED)
        return tls_failure(u->tls, detail);
    if (result == TLS_CLOSED || result == TLS_TRUNCATED || has_ended(&u->conn))
        return REASON_UPSTREAM_CLOSED;
    endpoint_want_read(&u->conn,
                       u->negotiation.greeting.len <= EARLY_MAX && endpoint_queued(&u->conn) == 0);
    return REASON_OK;
}

bool early_is_usable(const struct upstream *u)
{
    struct pollfd p = {.fd = u->conn.watched.fd, .events = POLLIN | POLLRDHUP};

    if (u->state != UPSTREAM_READY || has_ended(&u->conn) || poll(&p, 1, 0) < 0)
        return false;
    if (p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL))
        return false;
    return !(p.revents & POLLIN) || !u->conn.reading;
}
