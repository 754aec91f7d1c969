#include "base/addr.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"

bool addr_from_ip(struct addr *a, const char *ip, uint16_t port)
{
    struct addr out = {0};
    struct in6_addr in6;
    char bare[INET6_ADDRSTRLEN];
    const char *scope = strchr(ip, '%');

    if (inet_pton(AF_INET, ip, &out.in.sin_addr) == 1) {
        out.in.sin_family = AF_INET;
        out.in.sin_port = htons(port);
        out.len = sizeof(out.in);
        *a = out;
        return true;
    }
    if (scope) {
        if ((size_t)(scope - ip) >= sizeof(bare))
            return false;
        memcpy(bare, ip, (size_t)(scope - ip));
        bare[scope - ip] = '\0';
        ip = bare;
    }
    if (inet_pton(AF_INET6, ip, &in6) != 1)
        return false;
    out.in6.sin6_addr = in6;
    out.in6.sin6_family = AF_INET6;
    out.in6.sin6_port = htons(port);
    out.len = sizeof(out.in6);
    if (scope) {
        out.in6.sin6_scope_id = if_nametoindex(scope + 1);
        if (out.in6.sin6_scope_id == 0)
            return false;
        /* the kernel looks at it for link-local addresses alone: "::1%lo" and "::1" are one */
        if (!IN6_IS_ADDR_LINKLOCAL(&in6) && !IN6_IS_ADDR_MC_LINKLOCAL(&in6))
            out.in6.sin6_scope_id = 0;
    }
    *a = out;
    return true;
}

bool addr_from_unix(struct addr *a, const char *path)
{
    struct addr out = {0};

    if (strlen(path) >= sizeof(out.un.sun_path))
        return false;
    out.un.sun_family = AF_UNIX;
    memcpy(out.un.sun_path, path, strlen(path) + 1);
    out.len = sizeof(out.un);
    *a = out;
    return true;
}

void addr_from_vsock(struct addr *a, uint32_t cid, uint32_t port)
{
    *a = (struct addr){.len = sizeof(a->vm)};
    a->vm.svm_family = AF_VSOCK;
    a->vm.svm_cid = cid;
    a->vm.svm_port = port;
}

void addr_from_sockaddr(struct addr *a, const struct sockaddr *sa, socklen_t len)
{
    const size_t max = sizeof(*a) - offsetof(struct addr, sa);

    memset(a, 0, sizeof(*a));
    memcpy(&a->sa, sa, len > max ? max : len);
    a->len = len;
}

/* Returns the length of the path of a Unix socket. An unnamed one has none: unix(7). */
static size_t path_length(const struct addr *a)
{
    const size_t before = offsetof(struct sockaddr_un, sun_path);
    size_t n = a->len > before ? a->len - before : 0;

    if (n > sizeof(a->un.sun_path))
        n = sizeof(a->un.sun_path);
    return strnlen(a->un.sun_path, n);
}

const char *addr_format(const struct addr *a, char out[ADDR_TEXT_SIZE])
{
    char ip[INET6_ADDRSTRLEN] = "?";

    switch (a->len ? a->sa.sa_family : AF_UNSPEC) {
    case AF_INET:
        inet_ntop(AF_INET, &a->in.sin_addr, ip, sizeof(ip));
        snprintf(out, ADDR_TEXT_SIZE, "%s:%u", ip, ntohs(a->in.sin_port));
        break;
    case AF_INET6:
        inet_ntop(AF_INET6, &a->in6.sin6_addr, ip, sizeof(ip));
        if (a->in6.sin6_scope_id)
            snprintf(out, ADDR_TEXT_SIZE, "[%s%%%u]:%u", ip, a->in6.sin6_scope_id,
                     ntohs(a->in6.sin6_port));
        else
            snprintf(out, ADDR_TEXT_SIZE, "[%s]:%u", ip, ntohs(a->in6.sin6_port));
        break;
    case AF_UNIX:
        snprintf(out, ADDR_TEXT_SIZE, "unix:%.*s", (int)path_length(a), a->un.sun_path);
        break;
    case AF_VSOCK:
        snprintf(out, ADDR_TEXT_SIZE, "vsock:%u:%u", a->vm.svm_cid, a->vm.svm_port);
        break;
    default:
        snprintf(out, ADDR_TEXT_SIZE, "-");
    }
    return out;
}

const char *addr_format_ip(const struct addr *a, char out[ADDR_TEXT_SIZE])
{
    const void *bytes = a->sa.sa_family == AF_INET6 ? (const void *)&a->in6.sin6_addr
                                                    : (const void *)&a->in.sin_addr;

    if ((a->sa.sa_family != AF_INET && a->sa.sa_family != AF_INET6)
        || !inet_ntop(a->sa.sa_family, bytes, out, ADDR_TEXT_SIZE))
        snprintf(out, ADDR_TEXT_SIZE, "?");
    return out;
}

void addr_set_port(struct addr *a, uint16_t port)
{
    if (a->sa.sa_family == AF_INET)
        a->in.sin_port = htons(port);
    else if (a->sa.sa_family == AF_INET6)
        a->in6.sin6_port = htons(port);
}

uint16_t addr_port(const struct addr *a)
{
    if (a->sa.sa_family == AF_INET)
        return ntohs(a->in.sin_port);
    if (a->sa.sa_family == AF_INET6)
        return ntohs(a->in6.sin6_port);
    return 0;
}

bool addr_is_loopback(const struct addr *a)
{
    if (a->sa.sa_family == AF_INET)
        return ntohl(a->in.sin_addr.s_addr) >> 24 == 127;
    if (a->sa.sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr)
               || (IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr) && a->in6.sin6_addr.s6_addr[12] == 127);
    return a->sa.sa_family == AF_UNIX;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
    const int family = a->len ? a->sa.sa_family : AF_UNSPEC;

    if (family != (b->len ? b->sa.sa_family : AF_UNSPEC))
        return false;
    switch (family) {
    case AF_INET:
        return a->in.sin_port == b->in.sin_port && a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
    case AF_INET6:
        return a->in6.sin6_port == b->in6.sin6_port && a->in6.sin6_scope_id == b->in6.sin6_scope_id
               && IN6_ARE_ADDR_EQUAL(&a->in6.sin6_addr, &b->in6.sin6_addr);
    case AF_VSOCK:
        return a->vm.svm_cid == b->vm.svm_cid && a->vm.svm_port == b->vm.svm_port;
    case AF_UNIX:
        return path_length(a) == path_length(b)
               && memcmp(a->un.sun_path, b->un.sun_path, path_length(a)) == 0;
    default:
        return true;
    }
}

bool addr_is_wildcard(const struct addr *a)
{
    if (a->sa.sa_family == AF_INET)
        return a->in.sin_addr.s_addr == htonl(INADDR_ANY);
    return a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr);
}

void addr_unmap(struct addr *a)
{
    struct addr out = {.len = sizeof(out.in)};

    if (a->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr))
        return;
    out.in.sin_family = AF_INET;
    out.in.sin_port = a->in6.sin6_port;
    memcpy(&out.in.sin_addr, &a->in6.sin6_addr.s6_addr[12], sizeof(out.in.sin_addr));
    *a = out;
}

bool addr_covers(const struct addr *bound, const struct addr *a)
{
    if (addr_is_wildcard(bound))
        return bound->sa.sa_family == a->sa.sa_family && addr_port(bound) == addr_port(a);
    return addr_equal(bound, a);
}

const char *addr_split(const char *text, char *host, size_t host_size, uint16_t *port)
{
    static const char hint[] = "HOST, HOST:PORT or [IPV6]:PORT";
    const char *colon, *end, *after, *expected;
    long n;

    if (text[0] == '[') {
        end = strchr(text, ']');
        if (!end || (end[1] && end[1] != ':'))
            return hint;
        text++;
        after = end[1] ? end + 2 : NULL;
    } else {
        colon = strchr(text, ':');
        if (colon && strchr(colon + 1, ':'))
            colon = NULL; /* a bare IPv6 literal */
        end = colon ? colon : text + strlen(text);
        after = colon ? colon + 1 : NULL;
    }
    if (end == text || (size_t)(end - text) >= host_size)
        return hint;
    if (after) {
        expected = units_number(after, 1, 65535, &n);
        if (expected)
            return "a port from 1 to 65535";
        *port = (uint16_t)n;
    }
    memcpy(host, text, (size_t)(end - text));
    host[end - text] = '\0';
    return NULL;
}
