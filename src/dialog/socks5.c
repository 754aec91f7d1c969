/*
 * The client's side of SOCKS 5 (RFC 1928), with a user and a password (RFC 1929) if the section's
 * `via` has them. The proxy is asked to connect to a host by its name, which it resolves itself.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "config/section.h"
#include "dialog/dialog.h"
#include "net/target.h"

enum { SOCKS_VERSION = 5, PASSWORD_VERSION = 1, COMMAND_CONNECT = 1 };
enum { METHOD_NONE = 0, METHOD_PASSWORD = 2, METHOD_NO_ACCEPTABLE = 0xff };
enum { ADDRESS_IPV4 = 1, ADDRESS_NAME = 3, ADDRESS_IPV6 = 4 };

/* The bytes of a reply before its address, whose first one may be the length of a name. */
#define REPLY_HEAD 5

enum step { STEP_START, STEP_METHOD, STEP_PASSWORD, STEP_REPLY };

struct socks5 {
    enum step step;
};

static enum dialog_result refuse(struct dialog_io *io, const char *why)
{
    snprintf(io->detail, DIALOG_DETAIL_SIZE, "%s", why);
    return DIALOG_FAILED;
}

static void put_byte(struct dialog_io *io, int byte)
{
    const char c = (char)byte;

    strbuf_add_bytes(io->out, &c, 1);
}

/* A text of 1 to 255 bytes, as config/via.c and hostname_check() ensure. */
static void put_text(struct dialog_io *io, const char *text)
{
    put_byte(io, (int)strlen(text));
    strbuf_add(io->out, text);
}

static void send_methods(struct dialog_io *io)
{
    put_byte(io, SOCKS_VERSION);
    put_byte(io, io->section->via.user ? 2 : 1);
    put_byte(io, METHOD_NONE);
    if (io->section->via.user)
        put_byte(io, METHOD_PASSWORD);
}

static void send_password(struct dialog_io *io)
{
    put_byte(io, PASSWORD_VERSION);
    put_text(io, io->section->via.user);
    put_text(io, io->section->via.password);
}

static void send_request(struct dialog_io *io)
{
    const struct config_target t = target_request(io->section, io->attempt);
    struct addr ip;

    put_byte(io, SOCKS_VERSION);
    put_byte(io, COMMAND_CONNECT);
    put_byte(io, 0);
    if (!addr_from_ip(&ip, t.host, t.port)) {
        put_byte(io, ADDRESS_NAME);
        put_text(io, t.host);
    } else if (ip.sa.sa_family == AF_INET) {
        put_byte(io, ADDRESS_IPV4);
        strbuf_add_bytes(io->out, (const char *)&ip.in.sin_addr, sizeof(ip.in.sin_addr));
    } else {
        put_byte(io, ADDRESS_IPV6);
        strbuf_add_bytes(io->out, (const char *)&ip.in6.sin6_addr, sizeof(ip.in6.sin6_addr));
    }
    put_byte(io, t.port >> 8);
    put_byte(io, t.port & 0xff);
}

/* Takes the answer to the methods: the version and a method (RFC 1928 section 3). */
static enum dialog_result take_method(struct socks5 *s, struct dialog_io *io)
{
    const uint8_t *in = io->in + io->used;

    if (in[0] != SOCKS_VERSION)
        return refuse(io, "the answer is not of SOCKS version 5");
    io->used += 2;
    if (in[1] == METHOD_NONE) {
        send_request(io);
        s->step = STEP_REPLY;
        return DIALOG_MORE;
    }
    if (in[1] == METHOD_PASSWORD && io->section->via.user) {
        send_password(io);
        s->step = STEP_PASSWORD;
        return DIALOG_MORE;
    }
    if (in[1] != METHOD_NO_ACCEPTABLE)
        return refuse(io, "it has chosen a method of authentication that was not offered");
    return refuse(io, io->section->via.user
                          ? "no acceptable methods: it accepts no user and password"
                          : "no acceptable methods: set USER:PASSWORD in 'via', it may need them");
}

/* Takes the answer to the password: its version and a status (RFC 1929 section 2). */
static enum dialog_result take_status(struct socks5 *s, struct dialog_io *io)
{
    const uint8_t *in = io->in + io->used;

    if (in[0] != PASSWORD_VERSION)
        return refuse(io, "the answer to the password is not of version 1");
    io->used += 2;
    if (in[1] != 0)
        return refuse(io, "it has rejected the user or the password");
    send_request(io);
    s->step = STEP_REPLY;
    return DIALOG_MORE;
}

/* RFC 1928 section 6. */
static enum dialog_result fail_reply(struct dialog_io *io, int code)
{
    static const char *const words[] = {
        [1] = "general SOCKS server failure", [2] = "connection not allowed by ruleset",
        [3] = "Network unreachable",          [4] = "Host unreachable",
        [5] = "Connection refused",           [6] = "TTL expired",
        [7] = "Command not supported",        [8] = "Address type not supported",
    };

    if ((size_t)code < COUNT_OF(words))
        snprintf(io->detail, DIALOG_DETAIL_SIZE, "%s", words[code]);
    else
        snprintf(io->detail, DIALOG_DETAIL_SIZE, "reply code 0x%02x", (unsigned)code);
    return DIALOG_REFUSED;
}

/* Takes the reply to the request. Its address is of no use, and is skipped. */
static enum dialog_result take_reply(struct dialog_io *io, size_t n)
{
    const uint8_t *in = io->in + io->used;
    size_t len;

    if (n > 0 && in[0] != SOCKS_VERSION)
        return refuse(io, "the reply is not of SOCKS version 5");
    /* a server that refuses may close before its reply is complete */
    if (n > 1 && in[1] != 0)
        return fail_reply(io, in[1]);
    if (n < REPLY_HEAD)
        return DIALOG_MORE;
    if (in[3] == ADDRESS_IPV4)
        len = REPLY_HEAD - 1 + sizeof(struct in_addr) + 2;
    else if (in[3] == ADDRESS_IPV6)
        len = REPLY_HEAD - 1 + sizeof(struct in6_addr) + 2;
    else if (in[3] == ADDRESS_NAME)
        len = REPLY_HEAD + (size_t)in[4] + 2;
    else
        return refuse(io, "the reply has an address of an unknown type");
    if (in[2] != 0)
        return refuse(io, "the reserved byte of the reply is not 0");
    if (n < len)
        return DIALOG_MORE;
    io->used += len;
    return DIALOG_DONE;
}

static enum dialog_result run(void *state, struct dialog_io *io)
{
    struct socks5 *s = state;
    enum dialog_result result = DIALOG_MORE;
    enum step step;

    if (s->step == STEP_START) {
        send_methods(io);
        s->step = STEP_METHOD;
    }
    do {
        const size_t n = io->in_len - io->used;

        step = s->step;
        if (step == STEP_REPLY)
            result = take_reply(io, n);
        else if (n >= 2)
            result = step == STEP_METHOD ? take_method(s, io) : take_status(s, io);
    } while (s->step != step);
    return result;
}

const struct dialog_ops dialog_socks5 = {"SOCKS5 proxy", REASON_VIA, sizeof(struct socks5), run};
