/*
 * MySQL and MariaDB for a client without TLS. SSLRequest, which the client has not seen, was packet
 * 1. So the client's packets get the next number, and the server's the one before, until the server
 * ends authentication with OK or an error; each command then begins with number 0 again. The
 * client's response gets the capabilities that SSLRequest has promised (see dialog/mysqlproto.h).
 * If the client wants several statements in a query, or, from MySQL, another character set, two
 * commands behind authentication set them, and the client does not see the answers.
 */
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "dialog/mysqlproto.h"
#include "filter/filter.h"

/* The longest response of a client: clients send some hundred bytes, and most are attributes. */
#define RESPONSE_MAX (16 * 1024)

/* The plugin of clients that do not name theirs. */
#define DEFAULT_PLUGIN "mysql_native_password"

enum { COM_QUERY = 0x03, COM_SET_OPTION = 0x1b, ER_HANDSHAKE_ERROR = 1043 };

enum phase {
    PHASE_GREETING, /* reads the handshake packet, which was read before TLS */
    PHASE_AUTH,
    PHASE_OK,      /* the rest of the packet that ends authentication passes */
    PHASE_ANSWERS, /* the answers to our commands are dropped */
    PHASE_PASS,    /* all bytes pass */
};

/* Where a stream of packets is. */
struct packets {
    uint8_t header[MYSQL_HEADER_SIZE];
    size_t header_len;
    size_t left;   /* bytes of the payload that have not come */
    bool is_first; /* the next byte is the first of the payload */
};

struct mysql {
    enum phase phase;
    struct mysql_handshake handshake; /* as the client has seen it */
    bool responded;                   /* the client's response was sent */
    bool wants_multi_statements;
    uint8_t charset;  /* that the client wants */
    unsigned answers; /* that have not come */
    struct packets client, server;
    size_t packet_len;
    uint8_t packet[RESPONSE_MAX]; /* the packet that is being collected, if any */
};

/* The client's response. */
struct response {
    const uint8_t *user, *auth, *db, *plugin, *rest; /* NULL: there is none; each has no NUL */
    size_t user_len, auth_len, db_len, plugin_len, rest_len;
};

static void add(struct strbuf *out, const void *bytes, size_t n)
{
    if (n > 0)
        strbuf_add_bytes(out, bytes, n);
}

static void add_packet(struct strbuf *out, uint8_t number, const void *payload, size_t n)
{
    uint8_t header[MYSQL_HEADER_SIZE];

    mysql_write_header(header, n, number);
    add(out, header, sizeof(header));
    add(out, payload, n);
}

static bool fail(struct filter_io *io, enum reason reason, const char *why)
{
    io->reason = reason;
    snprintf(io->detail, FILTER_DETAIL_SIZE, "%s", why);
    return false;
}

/* Refuses a client in an error packet, with the number that it expects. */
static bool refuse(struct mysql *m, struct filter_io *io, const char *why)
{
    uint8_t payload[FILTER_DETAIL_SIZE];
    const int n = snprintf((char *)payload, sizeof(payload), "%c%c%c#08S01pinproxyd: %s", MYSQL_ERR,
                           ER_HANDSHAKE_ERROR & 0xff, ER_HANDSHAKE_ERROR >> 8, why);

    add_packet(io->to_client, (uint8_t)(m->packet[3] + 1), payload, (size_t)n);
    return fail(io, REASON_GREETING, why);
}

/* The client's response. */

/* Takes a string up to its NUL, or to the end of the packet, from *at. */
static void take_string(const uint8_t **at, const uint8_t *end, const uint8_t **out, size_t *len)
{
    const uint8_t *nul = *at < end ? memchr(*at, '\0', (size_t)(end - *at)) : NULL;

    *out = *at;
    *len = (size_t)((nul ? nul : end) - *at);
    *at = nul ? nul + 1 : end;
}

/* Takes a string behind its length, which has one byte, or from 251 on more (length-encoded). */
static bool take_auth(const uint8_t **at, const uint8_t *end, bool lenenc, struct response *r)
{
    const uint8_t *p = *at;
    size_t extra, i;

    if (p == end)
        return false;
    r->auth_len = *p++;
    if (lenenc && r->auth_len > 250) {
        extra = r->auth_len == 0xfc ? 2 : r->auth_len == 0xfd ? 3 : 0;
        if (extra == 0 || (size_t)(end - p) < extra)
            return false;
        for (r->auth_len = 0, i = 0; i < extra; i++)
            r->auth_len |= (size_t)*p++ << (8 * i);
    }
    if ((size_t)(end - p) < r->auth_len)
        return false;
    r->auth = p;
    *at = p + r->auth_len;
    return true;
}

/* Reads a response by the capabilities that the client and the shown handshake have in common. */
static bool read_response(const uint8_t *payload, size_t n, uint32_t common, struct response *r)
{
    const uint8_t *at = payload + MYSQL_CLIENT_HEAD_SIZE, *end = payload + n;

    if (!memchr(at, '\0', (size_t)(end - at)))
        return false;
    take_string(&at, end, &r->user, &r->user_len);
    if (!take_auth(&at, end, common & MYSQL_LENENC_CLIENT_DATA, r))
        return false;
    if (common & MYSQL_CONNECT_WITH_DB)
        take_string(&at, end, &r->db, &r->db_len);
    if (common & MYSQL_PLUGIN_AUTH)
        take_string(&at, end, &r->plugin, &r->plugin_len);
    r->rest = at;
    r->rest_len = (size_t)(end - at);
    return true;
}

static void add_string(struct strbuf *out, const void *bytes, size_t n)
{
    add(out, bytes, n);
    add(out, "", 1);
}

static void add_auth(struct strbuf *out, const struct response *r, bool lenenc)
{
    const uint8_t length[] = {0xfc, (uint8_t)r->auth_len, (uint8_t)(r->auth_len >> 8)};

    if (lenenc && r->auth_len > 250)
        add(out, length, sizeof(length));
    else
        add(out, &length[1], 1);
    add(out, r->auth, r->auth_len);
}

/* Sends a response in the form that SSLRequest has promised. */
static bool send_response(const struct mysql *m, const struct response *r, uint32_t common,
                          struct filter_io *io)
{
    const uint32_t promised = mysql_ssl_capabilities(m->handshake.capabilities);
    const uint8_t *payload = m->packet + MYSQL_HEADER_SIZE;
    uint8_t head[MYSQL_CLIENT_HEAD_SIZE] = {0};
    struct strbuf out = {0};

    mysql_write_int4(head, promised);
    memcpy(head + 4, payload + 4, 4); /* the maximum packet size */
    /* MySQL ends a connection if this is not that of SSLRequest */
    head[8] = m->handshake.is_mariadb ? m->charset : mysql_ssl_charset(m->handshake.charset);
    add(&out, head, sizeof(head));
    add_string(&out, r->user, r->user_len);
    add_auth(&out, r, promised & MYSQL_LENENC_CLIENT_DATA);
    if (promised & MYSQL_CONNECT_WITH_DB)
        add_string(&out, r->db, r->db_len);
    if (promised & MYSQL_PLUGIN_AUTH && r->plugin)
        add_string(&out, r->plugin, r->plugin_len);
    else if (promised & MYSQL_PLUGIN_AUTH)
        add_string(&out, DEFAULT_PLUGIN, strlen(DEFAULT_PLUGIN));
    if (promised & MYSQL_CONNECT_ATTRS && (!(common & MYSQL_CONNECT_ATTRS) || r->rest_len == 0))
        add(&out, "", 1); /* no attributes */
    add(&out, r->rest, r->rest_len);
    add_packet(io->to_server, (uint8_t)(m->packet[3] + 1), out.data, out.len);
    strbuf_free(&out);
    return true;
}

/* Judges the client's response, which was collected. */
static bool take_response(struct mysql *m, struct filter_io *io)
{
    const size_t n = m->packet_len - MYSQL_HEADER_SIZE;
    const uint8_t *payload = m->packet + MYSQL_HEADER_SIZE;
    struct response r = {0};
    uint32_t wanted, common;

    if (n < MYSQL_CLIENT_HEAD_SIZE || !(mysql_read_int4(payload) & MYSQL_PROTOCOL_41))
        return refuse(m, io, "the client does not speak protocol 4.1 of MySQL");
    wanted = mysql_read_int4(payload);
    common = wanted & m->handshake.capabilities;
    if (wanted & MYSQL_SSL && n == MYSQL_CLIENT_HEAD_SIZE)
        return fail(io, REASON_TLS_FROM_CLIENT, "it sent MySQL's SSLRequest");
    if ((wanted ^ m->handshake.capabilities) & MYSQL_FOUND_ROWS)
        return refuse(m, io,
                      wanted & MYSQL_FOUND_ROWS
                          ? "the client asks for CLIENT_FOUND_ROWS: set starttls = mysql_found_rows"
                          : "the client does not ask for CLIENT_FOUND_ROWS: set starttls = mysql");
    if (!(common & MYSQL_SECURE_CONNECTION) || !read_response(payload, n, common, &r))
        return refuse(m, io, "the client's handshake response is malformed");
    m->charset = payload[8];
    m->wants_multi_statements = common & MYSQL_MULTI_STATEMENTS;
    m->responded = true;
    m->packet_len = 0;
    return send_response(m, &r, common, io);
}

/* Collects a packet. Returns false if it is too long. *i is the next byte of the input. */
static bool collect(struct mysql *m, const struct filter_io *io, size_t *i, bool *complete)
{
    size_t size = MYSQL_HEADER_SIZE, n;

    *complete = false;
    while (*i < io->in_len) {
        if (m->packet_len >= MYSQL_HEADER_SIZE)
            size = MYSQL_HEADER_SIZE + mysql_payload_size(m->packet);
        if (size > sizeof(m->packet))
            return false;
        n = size - m->packet_len;
        if (n > io->in_len - *i)
            n = io->in_len - *i;
        memcpy(m->packet + m->packet_len, io->in + *i, n);
        m->packet_len += n;
        *i += n;
        if (m->packet_len < MYSQL_HEADER_SIZE)
            continue;
        *complete = m->packet_len == MYSQL_HEADER_SIZE + mysql_payload_size(m->packet);
        if (*complete)
            return true;
    }
    return true;
}

/* Packets. */

/* Reads a byte of a header. Returns true if the header is complete. */
static bool read_header(struct packets *p, uint8_t byte)
{
    p->header[p->header_len++] = byte;
    if (p->header_len < MYSQL_HEADER_SIZE)
        return false;
    p->header_len = 0;
    p->left = mysql_payload_size(p->header);
    p->is_first = true;
    return true;
}

/* Returns how many of n bytes are of the payload that has begun, and counts them as read. */
static size_t take_payload(struct packets *p, size_t n)
{
    if (n > p->left)
        n = p->left;
    p->left -= n;
    p->is_first = p->is_first && n == 0;
    return n;
}

/* From the client. */

/* Sends the beginning of a packet that the client has not completed. */
static void pass_partial(struct mysql *m, struct filter_io *io)
{
    add(io->to_server, m->packet, m->packet_len);
    add(io->to_server, m->client.header, m->client.header_len);
    m->packet_len = 0;
    m->client.header_len = 0;
}

/* Changes the numbers of the client's packets. Returns the number of bytes that it has read. */
static size_t count_up(struct packets *p, struct filter_io *io, size_t i)
{
    size_t n;

    while (i < io->in_len) {
        if (p->left > 0) {
            n = take_payload(p, io->in_len - i);
            add(io->to_server, io->in + i, n);
            i += n;
        } else if (read_header(p, io->in[i++])) {
            p->header[3]++;
            add(io->to_server, p->header, sizeof(p->header));
        }
    }
    return i;
}

static bool read_client(struct mysql *m, struct filter_io *io)
{
    bool complete = false;
    size_t i = 0;

    if (m->phase == PHASE_GREETING && io->in_len > 0)
        return fail(io, REASON_GREETING, "the client did not wait for the server's handshake");
    if (m->phase == PHASE_AUTH && !m->responded) {
        if (!collect(m, io, &i, &complete))
            return refuse(m, io, "the client's handshake response is too long");
        if (complete && !take_response(m, io))
            return false;
    }
    if (m->phase == PHASE_AUTH && m->responded)
        i = count_up(&m->client, io, i);
    if (m->phase == PHASE_AUTH && io->end)
        pass_partial(m, io);
    add(io->to_server, io->in + i, io->in_len - i);
    return true;
}

/* From the server. */

/* Sends what the client wants and SSLRequest could not say. */
static void send_commands(struct mysql *m, struct filter_io *io)
{
    static const uint8_t multi_statements_on[] = {COM_SET_OPTION, 0, 0};
    char query[128];
    int n;

    if (m->wants_multi_statements) {
        add_packet(io->to_server, 0, multi_statements_on, sizeof(multi_statements_on));
        m->answers++;
    }
    if (m->responded && !m->handshake.is_mariadb
        && m->charset != mysql_ssl_charset(m->handshake.charset)) {
        n = snprintf(query, sizeof(query),
                     "%cSET character_set_client=%u,character_set_results=%u,"
                     "collation_connection=%u",
                     COM_QUERY, m->charset, m->charset, m->charset);
        add_packet(io->to_server, 0, query, (size_t)n);
        m->answers++;
    }
}

/* Returns the next phase after the first byte of a packet in PHASE_AUTH. */
static enum phase judge_packet(struct mysql *m, struct filter_io *io, uint8_t first)
{
    if (first == MYSQL_OK)
        send_commands(m, io);
    if (first != MYSQL_OK && first != MYSQL_ERR)
        return PHASE_AUTH;
    pass_partial(m, io); /* it is no packet of authentication */
    return m->answers > 0 ? PHASE_OK : PHASE_PASS;
}

/* An answer to one of our commands has ended. */
static bool take_answer(struct mysql *m, struct filter_io *io)
{
    const uint8_t first = m->packet_len > 0 ? m->packet[0] : MYSQL_ERR;
    const char *message;
    unsigned code;
    size_t len;

    if (first != MYSQL_OK && first != MYSQL_EOF) {
        message = mysql_read_error(m->packet, m->packet_len, &code, &len);
        io->reason = REASON_STARTTLS;
        snprintf(io->detail, FILTER_DETAIL_SIZE,
                 "the server refused the client's options: error %u: %.*s", code, (int)len,
                 message);
        return false;
    }
    m->packet_len = 0;
    if (--m->answers == 0)
        m->phase = PHASE_PASS;
    return true;
}

/* Reads n bytes of a payload. */
static void read_payload(struct mysql *m, struct filter_io *io, const uint8_t *bytes, size_t n)
{
    const size_t room = sizeof(m->packet) - m->packet_len;

    if (m->phase == PHASE_ANSWERS) {
        if (n > room)
            n = room;
        memcpy(m->packet + m->packet_len, bytes, n);
        m->packet_len += n;
    } else {
        add(io->to_client, bytes, n);
    }
}

/* Reads the server's packets until all bytes pass. */
static bool count_down(struct mysql *m, struct filter_io *io, size_t *i)
{
    struct packets *p = &m->server;
    size_t n;

    while (m->phase != PHASE_PASS && *i < io->in_len) {
        if (p->left > 0) {
            if (p->is_first && m->phase == PHASE_AUTH)
                m->phase = judge_packet(m, io, io->in[*i]);
            n = take_payload(p, io->in_len - *i);
            read_payload(m, io, io->in + *i, n);
            *i += n;
        } else if (read_header(p, io->in[(*i)++])) {
            if (m->phase == PHASE_AUTH) {
                p->header[3]--;
                add(io->to_client, p->header, sizeof(p->header));
            }
        } else {
            continue;
        }
        if (p->left > 0)
            continue;
        if (m->phase == PHASE_OK)
            m->phase = PHASE_ANSWERS;
        else if (m->phase == PHASE_ANSWERS && !take_answer(m, io))
            return false;
    }
    return true;
}

static bool read_greeting(struct mysql *m, struct filter_io *io, size_t *i)
{
    bool complete = false;
    const char *why;

    if (!collect(m, io, i, &complete))
        return fail(io, REASON_STARTTLS, "the server's handshake packet is too long");
    if (!complete)
        return true;
    why = mysql_read_handshake(m->packet + MYSQL_HEADER_SIZE, m->packet_len - MYSQL_HEADER_SIZE,
                               &m->handshake);
    if (why)
        return fail(io, REASON_STARTTLS, why);
    add(io->to_client, m->packet, m->packet_len);
    m->packet_len = 0;
    m->phase = PHASE_AUTH;
    return true;
}

static bool read_server(struct mysql *m, struct filter_io *io)
{
    size_t i = 0;

    if (m->phase == PHASE_GREETING && !read_greeting(m, io, &i))
        return false;
    if (m->phase != PHASE_GREETING && !count_down(m, io, &i))
        return false;
    if (io->end && m->phase == PHASE_AUTH)
        add(io->to_client, m->server.header, m->server.header_len);
    add(io->to_client, io->in + i, io->in_len - i);
    return true;
}

static enum filter_result run_mysql(void *state, struct filter_io *io)
{
    struct mysql *m = state;
    const bool ok = io->way == FILTER_TO_SERVER ? read_client(m, io) : read_server(m, io);

    if (!ok)
        return FILTER_FAILED;
    return m->phase == PHASE_PASS ? FILTER_DONE : FILTER_MORE;
}

const struct filter_ops filter_mysql = {
    .name = "mysql", .size = sizeof(struct mysql), .run = run_mysql};
