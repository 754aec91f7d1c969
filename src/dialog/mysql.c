/* TLS to MySQL or MariaDB: the server's handshake packet, and SSLRequest (see mysqlproto.h). */
#include <stdio.h>
#include <string.h>

#include "dialog/dialog.h"
#include "dialog/mysqlproto.h"

/* A handshake or error packet is shorter. */
#define PACKET_MAX 1024

/* A packet is the server's longest in SSLRequest, as clients have it: 16 MiB. */
#define CLIENT_PACKET_MAX (1u << 24)

static enum dialog_result fail(struct dialog_io *io, const char *why)
{
    snprintf(io->detail, DIALOG_DETAIL_SIZE, "%s", why);
    return DIALOG_FAILED;
}

static enum dialog_result refuse(struct dialog_io *io, const uint8_t *payload, size_t n)
{
    unsigned code;
    size_t len;
    const char *message = mysql_read_error(payload, n, &code, &len);

    snprintf(io->detail, DIALOG_DETAIL_SIZE, "the server refused: error %u: %.*s", code, (int)len,
             message);
    return DIALOG_FAILED;
}

static void add_ssl_request(const struct mysql_handshake *h, struct strbuf *out)
{
    uint8_t packet[MYSQL_HEADER_SIZE + MYSQL_CLIENT_HEAD_SIZE] = {0};
    uint8_t *payload = packet + MYSQL_HEADER_SIZE;

    mysql_write_header(packet, MYSQL_CLIENT_HEAD_SIZE, 1);
    mysql_write_int4(payload, mysql_ssl_capabilities(h->capabilities));
    mysql_write_int4(payload + 4, CLIENT_PACKET_MAX);
    payload[8] = mysql_ssl_charset(h->charset);
    strbuf_add_bytes(out, (const char *)packet, sizeof(packet));
}

/* Adds the handshake packet as the client may see it. */
static void add_greeting(const uint8_t *packet, size_t n, const struct mysql_handshake *h,
                         struct strbuf *greeting)
{
    const uint32_t shown = mysql_shown_capabilities(h->capabilities);
    uint8_t *payload;

    strbuf_add_bytes(greeting, (const char *)packet, n);
    payload = (uint8_t *)greeting->data + greeting->len - n + MYSQL_HEADER_SIZE;
    payload[h->low_at] = (uint8_t)shown;
    payload[h->low_at + 1] = (uint8_t)(shown >> 8);
    payload[h->high_at] = (uint8_t)(shown >> 16);
    payload[h->high_at + 1] = (uint8_t)(shown >> 24);
    if (h->extended_at)
        mysql_write_int4(payload + h->extended_at, 0);
}

/* found_rows: the server is to count found rows in place of changed ones. */
static enum dialog_result run(struct dialog_io *io, bool found_rows)
{
    const uint32_t needed = MYSQL_PROTOCOL_41 | MYSQL_SECURE_CONNECTION;
    const uint8_t *payload = io->in + MYSQL_HEADER_SIZE;
    struct mysql_handshake h;
    const char *why;
    size_t size;

    if (io->in_len < MYSQL_HEADER_SIZE)
        return DIALOG_MORE;
    size = mysql_payload_size(io->in);
    if (size == 0 || size > PACKET_MAX || io->in[3] != 0)
        return fail(io, "the server's first bytes are no handshake packet of MySQL");
    if (io->in_len < MYSQL_HEADER_SIZE + size)
        return DIALOG_MORE;
    if (payload[0] == MYSQL_ERR)
        return refuse(io, payload, size);
    why = mysql_read_handshake(payload, size, &h);
    if (why)
        return fail(io, why);
    if (!(h.capabilities & MYSQL_SSL))
        return fail(io, "the server does not offer TLS");
    if ((h.capabilities & needed) != needed)
        return fail(io, "the server is older than MySQL 4.1");
    io->used = MYSQL_HEADER_SIZE + size;
    if (!found_rows)
        h.capabilities &= ~(uint32_t)MYSQL_FOUND_ROWS;
    add_ssl_request(&h, io->out);
    add_greeting(io->in, io->used, &h, io->greeting);
    return DIALOG_DONE;
}

static enum dialog_result run_mysql(void *state, struct dialog_io *io)
{
    (void)state;
    return run(io, false);
}

static enum dialog_result run_mysql_found_rows(void *state, struct dialog_io *io)
{
    (void)state;
    return run(io, true);
}

const struct dialog_ops dialog_mysql = {
    .name = "mysql", .reason = REASON_STARTTLS, .run = run_mysql};

const struct dialog_ops dialog_mysql_found_rows = {
    .name = "mysql_found_rows", .reason = REASON_STARTTLS, .run = run_mysql_found_rows};
