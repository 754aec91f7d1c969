#include "config/listen.h"

#include <ctype.h>
#include <grp.h>
#include <libgen.h>
#include <pwd.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/hostname.h"

/* ",mode=0660", ",user=U", ",group=G" behind a Unix socket's path. */
static const char *read_listen_attribute(struct arena *arena, struct config_listen *listen,
                                         const char *word)
{
    static const char twice[] = "expected mode=, user= and group= once each";
    char *end;

    if (strncmp(word, "mode=", 5) == 0) {
        long mode = strtol(word + 5, &end, 8);

        if (!isdigit((unsigned char)word[5]) || *end || mode > 0777)
            return "expected mode= and an octal number such as 0660";
        if (listen->mode >= 0)
            return twice;
        listen->mode = (int)mode;
    } else if (strncmp(word, "user=", 5) == 0) {
        if (!getpwnam(word + 5))
            return "expected user= and a user of this system";
        if (listen->user)
            return twice;
        listen->user = arena_strdup(arena, word + 5);
    } else if (strncmp(word, "group=", 6) == 0) {
        if (!getgrnam(word + 6))
            return "expected group= and a group of this system";
        if (listen->group)
            return twice;
        listen->group = arena_strdup(arena, word + 6);
    } else {
        return "expected unix:PATH[,mode=0660][,user=U][,group=G]";
    }
    return NULL;
}

/* True for a path that can only be a directory's, wherever it leads. */
static bool names_directory(const char *path)
{
    const char *slash = strrchr(path, '/'), *last = slash ? slash + 1 : path;

    return *last == '\0' || strcmp(last, ".") == 0 || strcmp(last, "..") == 0;
}

static const char *read_unix_listen(struct arena *arena, const char *dir,
                                    struct config_listen *listen, const char *value)
{
    char *text = arena_strdup(arena, value), *word;
    const char *path, *why = NULL;

    word = strchr(text, ',');
    if (word)
        *word++ = '\0';
    if (!*text)
        return "expected unix:PATH";
    if (*text == '@')
        return arena_printf(arena,
                            "expected unix:PATH: abstract sockets are not supported, for they have "
                            "neither owner nor mode (for a file called so: unix:./%s)",
                            text);
    if (names_directory(text))
        return "expected the path of a socket in that directory, such as "
               "unix:/run/pinproxy/NAME.sock";
    path = file_resolve(arena, dir, text);
    if (!addr_from_unix(&listen->addr, path))
        return "expected a shorter path: the kernel takes at most 107 bytes (unix(7))";
    while (!why && word) {
        char *next = strchr(word, ',');

        if (next)
            *next++ = '\0';
        why = read_listen_attribute(arena, listen, word);
        word = next;
    }
    return why;
}

/* What bind(2) would refuse whenever it is asked. */
static const char *check_bindable(struct arena *arena, const struct addr *addr)
{
    struct addr ipv4 = *addr;
    char text[ADDR_TEXT_SIZE];

    addr_unmap(&ipv4);
    if (ipv4.sa.sa_family != addr->sa.sa_family)
        return arena_printf(arena, "expected %s: this is an IPv4 address",
                            addr_format(&ipv4, text));
    if (addr->sa.sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&addr->in6.sin6_addr)
        && addr->in6.sin6_scope_id == 0)
        return "expected a link-local address with its interface, such as [fe80::1%eth0]:8443";
    return NULL;
}

static const char *read_tcp_listen(struct arena *arena, struct config_listen *listen,
                                   const char *value)
{
    char host[HOSTNAME_MAX + 2];
    uint16_t port = 0;
    size_t n = strlen(value);

    /* port 0 asks the kernel to choose; addr_split() is for ports that can be dialled */
    if (n > 2 && strcmp(value + n - 2, ":0") == 0 && (value[0] == '[') == (value[n - 3] == ']')
        && n < sizeof(host)) {
        size_t skip = value[0] == '[' ? 1 : 0;

        memcpy(host, value + skip, n - 2 - 2 * skip);
        host[n - 2 - 2 * skip] = '\0';
    } else if (addr_split(value, host, sizeof(host), &port) || port == 0) {
        return "expected ADDR:PORT, [IPV6]:PORT or unix:PATH, such as 127.0.0.1:8443";
    }
    if (!addr_from_ip(&listen->addr, host, port))
        return strcmp(host, "*") == 0 ? "expected an IP address before the port: 0.0.0.0 is every "
                                        "address of IPv4, [::] of IPv6"
                                      : "expected an IP address before the port, such as "
                                        "127.0.0.1:8443 or [::1]:8443";
    return check_bindable(arena, &listen->addr);
}

const char *listen_parse(const char *value, const char *dir, struct arena *arena,
                         struct config_listen *listen)
{
    listen->mode = -1;
    if (strncmp(value, "unix:", 5) == 0)
        return read_unix_listen(arena, dir, listen, value + 5);
    return read_tcp_listen(arena, listen, value);
}

static void check_loopback(const struct config_section *s, struct diag_list *diags)
{
    size_t i;

    for (i = 0; i < s->listen.count; i++)
        if (!addr_is_loopback(&s->listen.items[i].addr))
            diag_add(diags, s->listen.items[i].where,
                     "listen = %s: plaintext from other machines: listen on 127.0.0.1, [::1] "
                     "or a Unix socket, or say remote_clients = yes in [global]",
                     s->listen.items[i].text);
}

/* What makes two listeners one: sorted, those that clash are neighbours, a wildcard first. */
struct listen_place {
    int family;
    uint16_t port;
    bool wildcard;
    char *name; /* the address, or the file */
    const struct config_listen *listen;
};

/*
 * Returns a name of a socket file that is the same for each path that leads to it, whether or not
 * the directory is there yet. The caller frees it.
 */
static char *name_file(const char *path)
{
    char *one = xstrdup(path), *two = xstrdup(path), *above = NULL, *name;
    const char *last = basename(one), *parent = dirname(two);
    struct stat st;

    if (stat(parent, &st) == 0)
        name = xasprintf("%jx:%jx/%s", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino, last);
    else if (strcmp(parent, path) == 0) /* "." or "/", which may not be searched */
        name = xstrdup(path);
    else if (strcmp(last, ".") == 0)
        name = name_file(parent);
    else
        name = xasprintf("%s/%s", above = name_file(parent), last);
    free(above);
    free(one);
    free(two);
    return name;
}

static struct listen_place make_place(const struct config_listen *listen)
{
    const struct addr *addr = &listen->addr;
    struct listen_place place = {.family = addr->sa.sa_family,
                                 .port = addr_port(addr),
                                 .wildcard = addr_is_wildcard(addr),
                                 .listen = listen};
    char text[ADDR_TEXT_SIZE];

    place.name = place.family == AF_UNIX ? name_file(addr->un.sun_path)
                                         : xstrdup(addr_format(addr, text));
    return place;
}

static int compare_places(const void *a, const void *b)
{
    const struct listen_place *x = a, *y = b;
    int n = x->family - y->family;

    if (n == 0)
        n = x->port - y->port;
    if (n == 0)
        n = y->wildcard - x->wildcard;
    if (n == 0)
        n = strcmp(x->name, y->name);
    if (n == 0)
        n = strcmp(x->listen->where.file, y->listen->where.file);
    if (n == 0)
        n = x->listen->where.line < y->listen->where.line ? -1 : 1;
    return n;
}

/* first comes before place in their order. */
static void check_clash(const struct listen_place *first, const struct listen_place *place,
                        struct diag_list *diags)
{
    const struct location at = first->listen->where;

    if (first->family != place->family || first->port != place->port)
        return;
    if (strcmp(first->name, place->name) == 0)
        diag_add(diags, place->listen->where, "listen = %s stands at %s:%u already",
                 place->listen->text, at.file, at.line);
    else if (first->wildcard)
        diag_add(diags, place->listen->where,
                 "listen = %s: every address with this port belongs to listen = %s at %s:%u: "
                 "remove one of them",
                 place->listen->text, first->listen->text, at.file, at.line);
}

/* Neighbours clash, and a wildcard with all that have its family and port. */
static void check_clashes(const struct listen_place *places, size_t count, struct diag_list *diags)
{
    const struct listen_place *first = places;
    size_t i;

    for (i = 1; i < count; i++) {
        check_clash(first, &places[i], diags);
        if (!first->wildcard || first->family != places[i].family || first->port != places[i].port)
            first = &places[i];
    }
}

void listen_check(const struct config *c, struct diag_list *diags)
{
    struct listen_place *places;
    size_t count = 0, i, j;

    for (i = 0; i < c->count; i++) {
        count += c->sections[i]->listen.count;
        if (!c->global.remote_clients)
            check_loopback(c->sections[i], diags);
    }
    places = xcalloc(count, sizeof(*places));
    count = 0;
    for (i = 0; i < c->count; i++) {
        const struct config_listens *list = &c->sections[i]->listen;

        for (j = 0; j < list->count; j++) {
            if (list->items[j].addr.sa.sa_family != AF_UNIX && addr_port(&list->items[j].addr) == 0)
                continue; /* the kernel chooses, never the same twice */
            places[count++] = make_place(&list->items[j]);
        }
    }
    if (count)
        qsort(places, count, sizeof(*places), compare_places);
    check_clashes(places, count, diags);
    for (i = 0; i < count; i++)
        free(places[i].name);
    free(places);
}
