#include "net/target.h"

#include <string.h>
#include <sys/socket.h>

#include "config/options.h"

int target_family(const struct config_section *s)
{
    if (s->bind.len)
        return s->bind.sa.sa_family;
    if (s->family == FAMILY_IPV4)
        return AF_INET;
    return s->family == FAMILY_IPV6 ? AF_INET6 : AF_UNSPEC;
}

bool target_has_parent(const struct config_section *s)
{
    return s->via.scheme == VIA_SOCKS5 || s->via.scheme == VIA_HTTP;
}

size_t target_count(const struct config_section *s)
{
    return target_has_parent(s) ? 1 : target_request_count(s);
}

struct config_target target_at(const struct config_section *s, size_t index)
{
    if (target_has_parent(s))
        return (struct config_target){.host = s->via.host, .port = s->via.port};
    return target_request(s, index);
}

size_t target_request_count(const struct config_section *s)
{
    return s->address.count ? s->address.count : 1;
}

struct config_target target_request(const struct config_section *s, size_t index)
{
    struct config_target t = {.host = s->host, .port = (uint16_t)s->port};

    if (s->address.count == 0)
        return t;
    if (index >= s->address.count)
        index = s->address.count - 1;
    t.host = s->address.items[index].host;
    if (s->address.items[index].port)
        t.port = s->address.items[index].port;
    return t;
}

static void interleave(struct addr *list, size_t count)
{
    struct addr same[RESOLVER_ADDRESSES_MAX], other[RESOLVER_ADDRESSES_MAX];
    size_t same_count = 0, other_count = 0, n = 0, i;

    for (i = 0; i < count; i++) {
        if (list[i].sa.sa_family == list[0].sa.sa_family)
            same[same_count++] = list[i];
        else
            other[other_count++] = list[i];
    }
    for (i = 0; n < count; i++) {
        if (i < same_count)
            list[n++] = same[i];
        if (i < other_count)
            list[n++] = other[i];
    }
}

size_t target_addresses(const struct config_section *s, const struct addr *list, size_t count,
                        uint16_t port, struct addr out[RESOLVER_ADDRESSES_MAX])
{
    const int wanted = target_family(s);
    size_t n = 0, i;

    for (i = 0; i < count; i++) {
        if (wanted != AF_UNSPEC && list[i].sa.sa_family != wanted)
            continue;
        out[n] = list[i];
        addr_set_port(&out[n], port);
        n++;
    }
    interleave(out, n);
    return n;
}

bool target_is_same_server(const struct config_section *a, const struct config_section *b)
{
    return options_agree(OPTION_SERVER, a, b);
}
