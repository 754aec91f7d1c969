/*
 * TLS to PostgreSQL: SSLRequest and the one byte that answers it (PostgreSQL manual, "Message
 * Formats" and "SSL Session Encryption"). A byte behind the answer is the caller's error: it was
 * sent in plaintext, and would pass for the server's (CVE-2021-23222).
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "dialog/dialog.h"

/* A longer ErrorResponse is not waited for. */
#define ERROR_MAX 8192

struct postgres {
    bool asked;
};

static const char ssl_request[] = {0, 0, 0, 8, 0x04, (char)0xd2, 0x16, 0x2f};

static uint32_t read_be32(const uint8_t *b)
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static enum dialog_result refuse(struct dialog_io *io, const char *message, size_t n)
{
    snprintf(io->detail, DIALOG_DETAIL_SIZE, "the server refused: %.*s", (int)n, message);
    return DIALOG_FAILED;
}

/* The error of a server before version 7.4, or of one that could not start a process: a string. */
static enum dialog_result read_old_error(struct dialog_io *io)
{
    const uint8_t *text = io->in + 1, *end = memchr(text, '\0', io->in_len - 1);

    if (!end && io->in_len < ERROR_MAX)
        return DIALOG_MORE;
    return refuse(io, (const char *)text, end ? (size_t)(end - text) : io->in_len - 1);
}

/* Finds the human-readable field of an ErrorResponse: fields of a type and a string. */
static enum dialog_result read_fields(struct dialog_io *io, const uint8_t *at, size_t n)
{
    while (n > 1 && *at) {
        const uint8_t *end = memchr(at, '\0', n);

        if (!end)
            break;
        if (*at == 'M')
            return refuse(io, (const char *)at + 1, (size_t)(end - at) - 1);
        n -= (size_t)(end - at) + 1;
        at = end + 1;
    }
    snprintf(io->detail, DIALOG_DETAIL_SIZE, "the server refused without a message");
    return DIALOG_FAILED;
}

/* An ErrorResponse has a length, whose first byte is 0; a text has no such byte. */
static enum dialog_result read_error(struct dialog_io *io)
{
    uint32_t n;

    if (io->in_len < 2)
        return DIALOG_MORE;
    if (io->in[1] != 0)
        return read_old_error(io);
    if (io->in_len < 5)
        return DIALOG_MORE;
    n = read_be32(io->in + 1);
    if (n < 4 || n > ERROR_MAX) {
        snprintf(io->detail, DIALOG_DETAIL_SIZE, "the server sent an error of %u bytes",
                 (unsigned)n);
        return DIALOG_FAILED;
    }
    return io->in_len < n + 1 ? DIALOG_MORE : read_fields(io, io->in + 5, n - 4);
}

static enum dialog_result run_postgres(void *state, struct dialog_io *io)
{
    struct postgres *p = state;

    if (!p->asked)
        strbuf_add_bytes(io->out, ssl_request, sizeof(ssl_request));
    p->asked = true;
    if (io->in_len == 0)
        return DIALOG_MORE;
    switch (io->in[0]) {
    case 'S':
        io->used = 1;
        return DIALOG_DONE;
    case 'N':
        snprintf(io->detail, DIALOG_DETAIL_SIZE, "the server does not offer TLS");
        return DIALOG_FAILED;
    case 'E':
        return read_error(io);
    default:
        snprintf(io->detail, DIALOG_DETAIL_SIZE,
                 "the server's answer is not PostgreSQL's: it begins with byte 0x%02x", io->in[0]);
        return DIALOG_FAILED;
    }
}

const struct dialog_ops dialog_postgres = {.name = "postgres",
                                           .reason = REASON_STARTTLS,
                                           .size = sizeof(struct postgres),
                                           .run = run_postgres};
