/*
 * The beginning of a connection to MySQL or MariaDB: packets, capabilities, and the server's
 * handshake packet (MySQL manual, "Connection Phase Packets"; MariaDB manual, "Connection").
 *
 * A server takes the capabilities of a TLS client from its SSLRequest, which is sent before TLS,
 * and does not read those of the handshake response that follows inside TLS. pinproxy has to send
 * SSLRequest before any byte of its client may flow. So it offers the client only capabilities that
 * it can promise to the server for every client, and the filter (filter/mysql.c) makes the
 * response fit.
 */
#ifndef DIALOG_MYSQLPROTO_H
#define DIALOG_MYSQLPROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A length of three bytes, and the number of the packet. */
#define MYSQL_HEADER_SIZE 4

/* Capabilities, maximum packet size, character set, and a filler: SSLRequest, or a response. */
#define MYSQL_CLIENT_HEAD_SIZE 32

enum {
    MYSQL_FOUND_ROWS = 1 << 1,
    MYSQL_CONNECT_WITH_DB = 1 << 3,
    MYSQL_PROTOCOL_41 = 1 << 9,
    MYSQL_SSL = 1 << 11,
    MYSQL_SECURE_CONNECTION = 1 << 15,
    MYSQL_MULTI_STATEMENTS = 1 << 16,
    MYSQL_PLUGIN_AUTH = 1 << 19,
    MYSQL_CONNECT_ATTRS = 1 << 20,
    MYSQL_LENENC_CLIENT_DATA = 1 << 21,
};

/* First bytes of a server's packet. */
enum { MYSQL_OK = 0x00, MYSQL_EOF = 0xfe, MYSQL_ERR = 0xff };

/* A handshake packet of a server. */
struct mysql_handshake {
    uint32_t capabilities;
    bool is_mariadb;
    size_t low_at;      /* in the payload: the lower 16 bits of the capabilities */
    size_t high_at;     /* the upper 16 bits */
    size_t extended_at; /* four bytes of MariaDB's capabilities; 0: none */
    uint8_t charset;
};

/* Returns the length of a packet's payload from its header. */
size_t mysql_payload_size(const uint8_t *header);

/* Writes a header: the length of the payload, below 16 MiB, and the number of the packet. */
void mysql_write_header(uint8_t header[MYSQL_HEADER_SIZE], size_t size, uint8_t number);

/* Reads and writes an integer of four bytes, the lowest first. */
uint32_t mysql_read_int4(const uint8_t *at);
void mysql_write_int4(uint8_t *at, uint32_t value);

/*
 * Reads the payload of a handshake packet, version 10. Returns NULL, or why it is none (a literal);
 * *out is then untouched.
 */
const char *mysql_read_handshake(const uint8_t *payload, size_t n, struct mysql_handshake *out);

/*
 * Reads the payload of an error packet, which begins with MYSQL_ERR. Sets *code, and returns the
 * message of *len bytes, which is part of the payload.
 */
const char *mysql_read_error(const uint8_t *payload, size_t n, unsigned *code, size_t *len);

/* Returns the capabilities that the client may see, of those of the server. */
uint32_t mysql_shown_capabilities(uint32_t server);

/* Returns the capabilities of SSLRequest, from those of the server or those that were shown. */
uint32_t mysql_ssl_capabilities(uint32_t server);

/*
 * Returns the number of the character set and collation in SSLRequest: utf8mb4, in the collation
 * that the server has if it is one of MySQL 8's.
 */
uint8_t mysql_ssl_charset(uint8_t server);

#endif
