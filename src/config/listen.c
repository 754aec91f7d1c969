#include "config/listen.h"

#include <ctype.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hostname.h"

/* Reads "mode=0660", "user=U" or "group=G", which follow the path of a Unix socket. */
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

/* Returns true if a path can only be that of a directory. */
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
                            "expected unix:PATH: abstract sockets are not supported, because they "
                            "have no owner and no mode (for a file of this name: unix:./%s)",
                            text);
    if (names_directory(text))
        return "expected the path of a socket, not of a directory, such as "
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

/* Returns what is wrong with an address that bind(2) always refuses, or NULL. */
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

    /* port 0 lets the kernel choose; addr_split() accepts only ports to connect to */
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
