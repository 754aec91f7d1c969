#include "net/target.h"

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

bool target_is_same_server(const struct config_section *a, const struct config_section *b)
{
    return options_agree(OPTION_SERVER, a, b);
}
