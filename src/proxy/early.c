#include "proxy/early.h"

#include <poll.h>
#include <sys/socket.h>

#include "proxy/upstream.h"

/* A server that has sent more than this is not read further before there is a client. */
#define EARLY_MAX 4096

/* The head of a record, and its type (RFC 8446, section 5.1). An encrypted alert has 31 bytes. */
#define RECORD_HEAD 5
#define RECORD_APPLICATION_DATA 23
#define NO_ALERT_MIN 64

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

/*
 * Returns true if the bytes that wait in a socket are whole records of application data, each too
 * long to be an alert. With TLS 1.3, tickets come so when the handshake has just ended.
 */
static bool has_long_records_only(int fd)
{
    uint8_t bytes[2048];
    const ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);
    size_t at = 0;

    while (n > 0 && at + RECORD_HEAD <= (size_t)n) {
        const size_t len = (size_t)bytes[at + 3] << 8 | bytes[at + 4];

        if (bytes[at] != RECORD_APPLICATION_DATA || len < NO_ALERT_MIN)
            return false;
        at += RECORD_HEAD + len;
    }
    return n > 0 && at == (size_t)n;
}

bool early_is_usable(const struct upstream *u)
{
    struct pollfd p = {.fd = u->conn.watched.fd, .events = POLLIN | POLLRDHUP};

    if (u->state != UPSTREAM_READY || has_ended(&u->conn) || poll(&p, 1, 0) < 0)
        return false;
    if (p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL))
        return false;
    return !(p.revents & POLLIN) || !u->conn.reading || has_long_records_only(p.fd);
}
