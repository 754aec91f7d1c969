#include "net/listening.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/sock.h"

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;

/* Hashed by port, so that connecting does not get slower with each listener. Unix: port 0. */
#define BUCKETS 256
static LIST_HEAD(, listening) table[BUCKETS];

void listening_add(struct listening *l, int fd, const struct addr *addr, const char *section)
{
    socklen_t len = sizeof(int);
    int v6only = 1;

    l->addr = *addr;
    addr_unmap(&l->addr);
    if (addr->sa.sa_family == AF_INET6)
        (void)getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, &len);
    l->takes_ipv4 = !v6only && addr_is_wildcard(addr);
    l->section = section ? xstrdup(section) : NULL;
    pthread_rwlock_wrlock(&lock);
    LIST_INSERT_HEAD(&table[addr_port(&l->addr) % BUCKETS], l, link);
    pthread_rwlock_unlock(&lock);
}

void listening_rename(struct listening *l, const char *section)
{
    char *name = section ? xstrdup(section) : NULL, *before;

    pthread_rwlock_wrlock(&lock);
    before = l->section;
    l->section = name;
    pthread_rwlock_unlock(&lock);
    free(before);
}

void listening_remove(struct listening *l)
{
    if (l->addr.len == 0)
        return;
    pthread_rwlock_wrlock(&lock);
    LIST_REMOVE(l, link);
    pthread_rwlock_unlock(&lock);
    free(l->section);
}

/* Returns the address that the kernel connects to. */
static struct addr find_destination(const struct addr *to, const struct addr *from)
{
    struct addr out = *to;

    addr_unmap(&out);
    if (!addr_is_wildcard(&out))
        return out;
    /* ip_route_output_key() and tcp_v6_connect() in Linux */
    if (out.sa.sa_family == AF_INET6)
        (void)addr_from_ip(&out, "::1", addr_port(to));
    else if (from->len == 0 || addr_is_wildcard(from))
        (void)addr_from_ip(&out, "127.0.0.1", addr_port(to));
    else
        out = *from;
    addr_unmap(&out);
    addr_set_port(&out, addr_port(to));
    return out;
}

/* A destination, and what is known about it. */
struct destination {
    struct addr addr;
    struct stat file; /* Unix */
    bool has_file;
    enum { LOCAL_UNKNOWN, LOCAL_YES, LOCAL_NO } local;
};

static bool is_local(struct destination *to)
{
    if (to->local == LOCAL_UNKNOWN)
        to->local = sock_is_local(&to->addr) ? LOCAL_YES : LOCAL_NO;
    return to->local == LOCAL_YES;
}

static bool would_reach(const struct listening *l, struct destination *to)
{
    if (addr_equal(&l->addr, &to->addr))
        return true;
    if (to->addr.sa.sa_family == AF_UNIX)
        return l->addr.sa.sa_family == AF_UNIX && to->has_file && to->file.st_dev == l->dev
               && to->file.st_ino == l->ino;
    if (!addr_is_wildcard(&l->addr) || addr_port(&l->addr) != addr_port(&to->addr))
        return false;
    if (l->addr.sa.sa_family != to->addr.sa.sa_family && !l->takes_ipv4)
        return false;
    return is_local(to);
}

bool listening_find(const struct addr *to, const struct addr *from, char text[LISTENING_TEXT_SIZE])
{
    struct destination d = {.addr = find_destination(to, from)};
    char address[ADDR_TEXT_SIZE];
    const struct listening *l;

    if (to->sa.sa_family == AF_UNIX)
        d.has_file = stat(to->un.sun_path, &d.file) == 0;
    pthread_rwlock_rdlock(&lock);
    LIST_FOREACH (l, &table[addr_port(to) % BUCKETS], link)
        if (would_reach(l, &d))
            break;
    if (l)
        snprintf(text, LISTENING_TEXT_SIZE, "this is pinproxyd's own listener %s%s%s%s",
                 addr_format(&l->addr, address), l->section ? " of [" : "",
                 l->section ? l->section : "", l->section ? "]" : "");
    pthread_rwlock_unlock(&lock);
    return l != NULL;
}
