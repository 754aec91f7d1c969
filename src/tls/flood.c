#include "tls/flood.h"

#include <openssl/ssl.h>

/*
 * A handshake needs ten messages at most, and five records for the longest. OpenSSL itself passes
 * over requests to renegotiate, however many come, and takes records of a byte each.
 */
#define HANDSHAKE_MESSAGES_MAX 64
#define HANDSHAKE_RECORDS_MAX 1024

/*
 * After it: tickets, key updates, requests to renegotiate. A long download may change its keys
 * often.
 */
#define MESSAGES_FREE 64
#define BYTES_PER_MESSAGE 4096

static bool is_message(int type)
{
    return type == SSL3_RT_HANDSHAKE || type == SSL3_RT_ALERT;
}

bool flood_in_handshake(struct flood *f, int type)
{
    f->messages += is_message(type);
    f->records += type == SSL3_RT_HEADER;
    return f->messages > HANDSHAKE_MESSAGES_MAX || f->records > HANDSHAKE_RECORDS_MAX;
}

void flood_opened(struct flood *f)
{
    *f = (struct flood){0};
}

void flood_count(struct flood *f, int type)
{
    f->messages += is_message(type);
}

bool flood_is_exceeded(const struct flood *f)
{
    return f->messages > MESSAGES_FREE + f->received / BYTES_PER_MESSAGE;
}
