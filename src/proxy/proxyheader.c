#include "proxy/proxyheader.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* Section 2.2: the bytes that begin a header of version 2. */
static const uint8_t signature[] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                    0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

/* Version 2 and the command. */
#define LOCAL 0x20
#define PROXY 0x21

/* The family and the protocol, which is STREAM. */
#define UNSPEC 0x00
#define INET 0x11
#define INET6 0x21

/* Both ends of a connection. */
struct ends {
    struct addr client;
    struct addr listener;
    int family; /* AF_INET, AF_INET6, or AF_UNSPEC: their addresses are not sent */
};

static struct ends make_ends(const struct addr *client, const struct addr *listener)
{
    struct ends e = {*client, *listener, AF_UNSPEC};

    if (client->len == 0 || listener->len == 0)
        return e;
    addr_unmap(&e.client);
    addr_unmap(&e.listener);
    if (e.client.sa.sa_family == e.listener.sa.sa_family && e.client.sa.sa_family != AF_UNIX)
        e.family = e.client.sa.sa_family;
    return e;
}

/* Without the zone of a link-local address, for which there is no place. */
static const char *format_ip(const struct addr *a, char out[INET6_ADDRSTRLEN])
{
    const bool is_ipv4 = a->sa.sa_family == AF_INET;

    return inet_ntop(a->sa.sa_family,
                     is_ipv4 ? (const void *)&a->in.sin_addr : (const void *)&a->in6.sin6_addr, out,
                     INET6_ADDRSTRLEN);
}

static size_t make_v1(const struct ends *e, uint8_t out[PROXYHEADER_MAX])
{
    char client[INET6_ADDRSTRLEN], listener[INET6_ADDRSTRLEN];

    if (e->family == AF_UNSPEC)
        return (size_t)snprintf((char *)out, PROXYHEADER_MAX, "PROXY UNKNOWN\r\n");
    return (size_t)snprintf((char *)out, PROXYHEADER_MAX, "PROXY %s %s %s %u %u\r\n",
                            e->family == AF_INET ? "TCP4" : "TCP6", format_ip(&e->client, client),
                            format_ip(&e->listener, listener), addr_port(&e->client),
                            addr_port(&e->listener));
}

static uint8_t *put(uint8_t *to, const void *from, size_t n)
{
    memcpy(to, from, n);
    return to + n;
}

static uint8_t *put_addresses(uint8_t *to, const struct ends *e, uint8_t *family)
{
    switch (e->family) {
    case AF_INET:
        *family = INET;
        to = put(to, &e->client.in.sin_addr, 4);
        to = put(to, &e->listener.in.sin_addr, 4);
        to = put(to, &e->client.in.sin_port, 2);
        return put(to, &e->listener.in.sin_port, 2);
    case AF_INET6:
        *family = INET6;
        to = put(to, &e->client.in6.sin6_addr, 16);
        to = put(to, &e->listener.in6.sin6_addr, 16);
        to = put(to, &e->client.in6.sin6_port, 2);
        return put(to, &e->listener.in6.sin6_port, 2);
    default:
        *family = UNSPEC;
        return to;
    }
}

static size_t make_v2(const struct ends *e, uint8_t out[PROXYHEADER_MAX])
{
    uint8_t *fields = out + sizeof(signature), *addresses = fields + 4;
    const size_t n = (size_t)(put_addresses(addresses, e, &fields[1]) - addresses);

    memcpy(out, signature, sizeof(signature));
    fields[0] = e->family == AF_UNSPEC ? LOCAL : PROXY;
    fields[2] = (uint8_t)(n >> 8);
    fields[3] = (uint8_t)n;
    return sizeof(signature) + 4 + n;
}

size_t proxyheader_make(enum config_send_proxy version, const struct addr *client,
                        const struct addr *listener, uint8_t out[PROXYHEADER_MAX])
{
    const struct ends e = make_ends(client, listener);

    switch (version) {
    case SEND_PROXY_V1:
        return make_v1(&e, out);
    case SEND_PROXY_V2:
        return make_v2(&e, out);
    case SEND_PROXY_OFF:
        break;
    }
    return 0;
}
