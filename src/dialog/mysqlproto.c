#include "dialog/mysqlproto.h"

#include <string.h>

#define BIT(n) (UINT32_C(1) << (n))

/*
 * Capabilities by number. The names and their meanings are in the manuals that the header names.
 * A client has the first set whatever it wants, can do without them, or the filter makes up for
 * them:
 *   LONG_PASSWORD (which MariaDB calls MYSQL), LONG_FLAG, CONNECT_WITH_DB, LOCAL_FILES, PROTOCOL_41,
 *   TRANSACTIONS, SECURE_CONNECTION, MULTI_RESULTS, PS_MULTI_RESULTS, PLUGIN_AUTH, CONNECT_ATTRS,
 *   PLUGIN_AUTH_LENENC_CLIENT_DATA;
 *   and FOUND_ROWS, which dialog_mysql removes and dialog_mysql_found_rows does not.
 * LOCAL_FILES is safe: the client itself decides if it sends a file, and a server may ask for one
 * in any case.
 */
static const uint32_t promised = BIT(0) | BIT(1) | BIT(2) | BIT(3) | BIT(7) | BIT(9) | BIT(13)
                                 | BIT(15) | BIT(17) | BIT(18) | BIT(19) | BIT(20) | BIT(21);

/*
 * Not shown to the client, because not every client has it and it changes the meaning or the form
 * of what follows: COMPRESS, SSL, and all from CAN_HANDLE_EXPIRED_PASSWORDS on, among
 * them SESSION_TRACK and DEPRECATE_EOF.
 */
static const uint32_t hidden = BIT(5) | BIT(11) | UINT32_C(0xffc00000);

/* utf8mb4_general_ci, which all have, and utf8mb4_0900_ai_ci, the default of MySQL 8. */
enum { CHARSET_GENERAL = 45, CHARSET_0900 = 255 };

size_t mysql_payload_size(const uint8_t *header)
{
    return (size_t)header[0] | (size_t)header[1] << 8 | (size_t)header[2] << 16;
}

void mysql_write_header(uint8_t header[MYSQL_HEADER_SIZE], size_t size, uint8_t number)
{
    header[0] = (uint8_t)size;
    header[1] = (uint8_t)(size >> 8);
    header[2] = (uint8_t)(size >> 16);
    header[3] = number;
}

static uint32_t read_int2(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8;
}

uint32_t mysql_read_int4(const uint8_t *at)
{
    return read_int2(at) | read_int2(at + 2) << 16;
}

void mysql_write_int4(uint8_t *at, uint32_t value)
{
    size_t i;

    for (i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

/* A client may show the version on its terminal, and it came before TLS, from anyone. */
static bool is_printable(const uint8_t *bytes, const uint8_t *end)
{
    for (; bytes < end; bytes++)
        if (*bytes < ' ' || *bytes > '~')
            return false;
    return true;
}

const char *mysql_read_handshake(const uint8_t *payload, size_t n, struct mysql_handshake *out)
{
    /* the version's NUL, the connection, 8 bytes of the nonce, and a filler */
    enum { BEFORE_FLAGS = 1 + 4 + 8 + 1, REST = 2 + 1 + 2 + 2 + 1 + 10 };
    struct mysql_handshake h = {0};
    const uint8_t *end;

    if (n == 0 || payload[0] != 10)
        return "the server's handshake packet is not of protocol version 10";
    end = memchr(payload + 1, '\0', n - 1);
    if (!end)
        return "the server's handshake packet is malformed: the version has no end";
    if (!is_printable(payload + 1, end))
        return "the server's handshake packet has a control byte in the version";
    h.low_at = (size_t)(end - payload) + BEFORE_FLAGS;
    if (n < h.low_at || n - h.low_at < REST)
        return "the server's handshake packet is too short for protocol 4.1";
    h.charset = payload[h.low_at + 2];
    h.high_at = h.low_at + 5;
    h.capabilities = read_int2(payload + h.low_at) | read_int2(payload + h.high_at) << 16;
    h.is_mariadb = !(h.capabilities & BIT(0));
    if (h.is_mariadb)
        h.extended_at = h.high_at + 2 + 1 + 6;
    *out = h;
    return NULL;
}

const char *mysql_read_error(const uint8_t *payload, size_t n, unsigned *code, size_t *len)
{
    size_t at = 3;

    *code = n < at ? 0 : read_int2(payload + 1);
    if (n > at && payload[at] == '#') /* and five characters of an SQL state */
        at += 6;
    *len = n > at ? n - at : 0;
    return *len ? (const char *)payload + at : "";
}

uint32_t mysql_shown_capabilities(uint32_t server)
{
    return server & ~hidden;
}

uint32_t mysql_ssl_capabilities(uint32_t server)
{
    return (server & promised) | MYSQL_SSL;
}

uint8_t mysql_ssl_charset(uint8_t server)
{
    return server == CHARSET_0900 ? CHARSET_0900 : CHARSET_GENERAL;
}
