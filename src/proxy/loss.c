#include "proxy/loss.h"

#include <stdio.h>
#include <string.h>

#include "net/endpoint.h"

const char *loss_describe(const struct endpoint *conn)
{
    const int error = conn->error ? conn->error : conn->write_error;

    if (error && conn->kind == STREAM_TERMINAL)
        return "the serial line has hung up: its device was unplugged or closed";
    switch (error) {
    case 0:
        return "";
    case UV_ECONNRESET:
    case UV_EPIPE:
        return "the server reset the connection";
    case UV_ETIMEDOUT:
        return "the server no longer acknowledges anything (keepalive)";
    default:
        return uv_strerror(error);
    }
}

const char *loss_cause(const struct endpoint *conn)
{
    const char *ending = endpoint_ending(conn);

    return *ending ? ending : loss_describe(conn);
}

char *loss_explain(const struct endpoint *conn, enum reason reason, const char *detail)
{
    const char *ending = reason_is_trust(reason) ? "" : endpoint_ending(conn);
    char *text;

    /* the program's end is the cause, and not a service that wants STARTTLS */
    if (reason == REASON_TLS && *ending && (conn->eof || conn->error))
        detail = "";
    if (!*ending || !*detail)
        return *detail || *ending ? strdup(*detail ? detail : ending) : NULL;
    return asprintf(&text, "%s: %s", detail, ending) < 0 ? NULL : text;
}
