/*
 * PostgreSQL for a client without TLS (PostgreSQL manual, "Message Flow" and "Message Formats").
 * SSLRequest and GSSENCRequest are answered with N, as a server without TLS does. Until
 * authentication has ended, SCRAM-SHA-256-PLUS is removed from the mechanisms that the server
 * offers: it binds to a TLS connection, and libpq ends a connection without TLS that offers it.
 */
#include <stdbool.h>
#include <string.h>

#include "filter/filter.h"

#define REQUEST_SIZE 8

/* A client needs two requests at most. The next one is the server's to judge. */
#define REQUESTS_MAX 16

/* The longest AuthenticationSASL that libpq reads, with its type. A longer one passes unchanged. */
#define SASL_MAX 2001

/* The type, the length, and the kind of an authentication message. */
#define HEADER_SIZE 5
#define AUTH_SIZE 9

enum { AUTH_OK = 0, AUTH_SASL = 10 };

struct postgres {
    bool started;       /* the client's first packet has begun, and all its bytes pass */
    bool authenticated; /* authentication has ended, and all bytes of the server pass */
    unsigned answered;  /* requests */
    size_t request_len;
    uint8_t request[REQUEST_SIZE]; /* the beginning of one */
    size_t passing;                /* bytes of the server's message that pass unchanged */
    size_t message_len;
    uint8_t message[SASL_MAX]; /* the beginning of the server's message */
};

static uint32_t read_be32(const uint8_t *b)
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static void add(struct strbuf *out, const uint8_t *bytes, size_t n)
{
    if (n > 0)
        strbuf_add_bytes(out, (const char *)bytes, n);
}

/* From the client. */

/* Returns true if this byte continues an SSLRequest (80877103) or a GSSENCRequest (80877104). */
static bool is_request_byte(size_t at, uint8_t byte)
{
    static const uint8_t request[REQUEST_SIZE - 1] = {0, 0, 0, 8, 0x04, 0xd2, 0x16};

    if (at < sizeof(request))
        return byte == request[at];
    return byte == 0x2f || byte == 0x30;
}

/* All that the client sends passes from now on. */
static void start(struct postgres *p, struct filter_io *io)
{
    p->started = true;
    add(io->to_server, p->request, p->request_len);
    p->request_len = 0;
}

static void read_client(struct postgres *p, struct filter_io *io)
{
    size_t i = 0;

    while (!p->started && i < io->in_len) {
        if (p->answered == REQUESTS_MAX || !is_request_byte(p->request_len, io->in[i])) {
            start(p, io);
            break;
        }
        p->request[p->request_len++] = io->in[i++];
        if (p->request_len < REQUEST_SIZE)
            continue;
        p->request_len = 0;
        p->answered++;
        strbuf_add(io->to_client, "N");
    }
    if (io->end)
        start(p, io);
    add(io->to_server, io->in + i, io->in_len - i);
}

/* From the server. */

/*
 * Appends the names of a list of mechanisms, each with a NUL, except SCRAM-SHA-256-PLUS. Returns
 * the number of bytes that were read, or 0 if the list has no end.
 */
static size_t copy_mechanisms(const uint8_t *list, size_t n, struct strbuf *out)
{
    static const char plus[] = "SCRAM-SHA-256-PLUS";
    size_t at = 0;

    while (at < n && list[at] != '\0') {
        const uint8_t *name = list + at, *end = memchr(name, '\0', n - at);
        size_t size;

        if (!end)
            return 0;
        size = (size_t)(end - name) + 1;
        if (size != sizeof(plus) || memcmp(name, plus, size) != 0)
            add(out, name, size);
        at += size;
    }
    return at < n ? at : 0;
}

/* Appends an AuthenticationSASL, with the length that it then has. */
static void write_sasl(const uint8_t *message, size_t n, struct strbuf *out)
{
    struct strbuf names = {0};
    const size_t read = copy_mechanisms(message + AUTH_SIZE, n - AUTH_SIZE, &names);
    const size_t rest = n - AUTH_SIZE - read, size = AUTH_SIZE - 1 + names.len + rest;
    const uint8_t length[] = {0, 0, (uint8_t)(size >> 8), (uint8_t)size};

    if (read == 0) { /* no list, or an empty one */
        add(out, message, n);
    } else {
        add(out, message, 1);
        add(out, length, sizeof(length));
        add(out, message + HEADER_SIZE, AUTH_SIZE - HEADER_SIZE);
        add(out, (const uint8_t *)names.data, names.len);
        add(out, message + AUTH_SIZE + read, rest);
    }
    strbuf_free(&names);
}

/* The held bytes, and the next n of the message, pass. */
static void pass(struct postgres *p, struct filter_io *io, size_t n)
{
    add(io->to_client, p->message, p->message_len);
    p->message_len = 0;
    p->passing = n;
}

/* Judges the message, of which one byte more is held. */
static void read_message(struct postgres *p, struct filter_io *io)
{
    const bool is_auth = p->message[0] == 'R';
    const size_t n = p->message_len;
    size_t size;

    if (p->message[0] == 'E') {
        p->authenticated = true; /* ErrorResponse */
        pass(p, io, 0);
        return;
    }
    if (n < HEADER_SIZE)
        return;
    size = (size_t)read_be32(p->message + 1) + 1;
    if (size < HEADER_SIZE || (is_auth && size < AUTH_SIZE)) {
        p->authenticated = true; /* this is no message of PostgreSQL */
        pass(p, io, 0);
    } else if (!is_auth) {
        pass(p, io, size - n);
    } else if (n == AUTH_SIZE && read_be32(p->message + HEADER_SIZE) != AUTH_SASL) {
        p->authenticated = read_be32(p->message + HEADER_SIZE) == AUTH_OK;
        pass(p, io, size - n);
    } else if (n >= AUTH_SIZE && size > SASL_MAX) {
        pass(p, io, size - n);
    } else if (n == size) {
        write_sasl(p->message, n, io->to_client);
        p->message_len = 0;
    }
}

static void read_server(struct postgres *p, struct filter_io *io)
{
    size_t i = 0, n;

    if (io->in_len > 0)
        start(p, io); /* an N in the middle of a message of the server would corrupt it */
    while (!p->authenticated && i < io->in_len) {
        n = io->in_len - i < p->passing ? io->in_len - i : p->passing;
        add(io->to_client, io->in + i, n);
        p->passing -= n;
        i += n;
        if (i == io->in_len)
            break;
        p->message[p->message_len++] = io->in[i++];
        read_message(p, io);
    }
    if (io->end)
        pass(p, io, 0);
    add(io->to_client, io->in + i, io->in_len - i);
}

static enum filter_result run_postgres(void *state, struct filter_io *io)
{
    struct postgres *p = state;

    if (io->way == FILTER_TO_SERVER)
        read_client(p, io);
    else
        read_server(p, io);
    return p->started && p->authenticated ? FILTER_DONE : FILTER_MORE;
}

const struct filter_ops filter_postgres = {
    .name = "postgres", .size = sizeof(struct postgres), .run = run_postgres};
