#include "pinproxyd/listener.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sock.h"

struct listener {
    uv_poll_t poll;
    unsigned users; /* sets that hold it */
    bool served;    /* the poll handle is initialised */
    int fd;
    char *key; /* what a reload knows it by */
    struct addr addr;
    ino_t inode; /* unix: of the socket file, so that only ours is removed */
    struct listener_set *set;
    const struct section *section;
};

struct listener_set {
    struct listener **items; /* in the order of the snapshot's sections */
    size_t count;
    struct listener **by_key;
    const struct listener_events *events;
    void *owner;
};

static int compare_keys(const void *a, const void *b)
{
    const struct listener *x = *(struct listener *const *)a, *y = *(struct listener *const *)b;

    return strcmp(x->key, y->key);
}

static void sort_by_key(struct listener_set *set)
{
    set->by_key = xcalloc(set->count, sizeof(struct listener *));
    if (set->count == 0)
        return;
    memcpy(set->by_key, set->items, set->count * sizeof(struct listener *));
    qsort(set->by_key, set->count, sizeof(struct listener *), compare_keys);
}

static struct listener *find(const struct listener_set *set, char *key)
{
    struct listener wanted = {.key = key}, *w = &wanted, **found;

    if (!set || set->count == 0)
        return NULL;
    found = bsearch(&w, set->by_key, set->count, sizeof(w), compare_keys);
    return found ? *found : NULL;
}

/* The address; where the kernel chooses the port, the place in the configuration. */
static char *make_key(const struct config_section *s, size_t index)
{
    const struct config_listen *listen = &s->listen.items[index];
    char text[ADDR_TEXT_SIZE];

    addr_format(&listen->addr, text);
    if (listen->addr.sa.sa_family == AF_UNIX || addr_port(&listen->addr) != 0)
        return xstrdup(text);
    return xasprintf("%s %s %zu", text, s->name, index);
}

/* A socket file that nobody listens on is left over from a crash: make room. */
static void remove_stale_socket(const struct addr *addr)
{
    struct stat st;
    int fd;

    if (lstat(addr->un.sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return;
    fd = sock_open(AF_UNIX);
    if (fd < 0)
        return;
    if (connect(fd, &addr->sa, addr->len) != 0 && errno == ECONNREFUSED)
        (void)unlink(addr->un.sun_path);
    close(fd);
}

/* Mode and owner of a Unix socket. NULL, or what went wrong. */
static const char *set_access(const struct config_listen *listen)
{
    const char *path = listen->addr.un.sun_path;
    uid_t uid = (uid_t)-1;
    gid_t gid = (gid_t)-1;

    if (listen->user) {
        const struct passwd *pw = getpwnam(listen->user);

        if (!pw)
            return "there is no such user";
        uid = pw->pw_uid;
    }
    if (listen->group) {
        const struct group *gr = getgrnam(listen->group);

        if (!gr)
            return "there is no such group";
        gid = gr->gr_gid;
    }
    if ((listen->user || listen->group) && chown(path, uid, gid) != 0)
        return strerror(errno);
    if (listen->mode >= 0 && chmod(path, (mode_t)listen->mode) != 0)
        return strerror(errno);
    return NULL;
}

static const char *bind_socket(int fd, const struct config_listen *listen)
{
    const struct addr *addr = &listen->addr;
    const int on = 1;
    mode_t umask_before = 0;
    int failed;

    if (addr->sa.sa_family == AF_UNIX) {
        remove_stale_socket(addr);
        /* until the mode is set, nobody else gets in */
        if (listen->mode >= 0)
            umask_before = umask(0177);
    } else {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    }
    if (addr->sa.sa_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    failed = bind(fd, &addr->sa, addr->len) != 0 ? errno : 0;
    if (addr->sa.sa_family == AF_UNIX && listen->mode >= 0)
        (void)umask(umask_before);
    return failed ? strerror(failed) : NULL;
}

static const char *open_listener(struct listener *l, const struct config_section *s,
                                 const struct config_listen *place)
{
    socklen_t len = sizeof(l->addr) - offsetof(struct addr, sa);
    struct stat st;
    const char *why;

    l->addr = place->addr;
    l->fd = sock_open(place->addr.sa.sa_family);
    if (l->fd < 0)
        return strerror(errno);
    why = bind_socket(l->fd, place);
    if (why)
        return why;
    if (place->addr.sa.sa_family == AF_UNIX) {
        if (lstat(place->addr.un.sun_path, &st) == 0)
            l->inode = st.st_ino;
        why = set_access(place);
        if (why)
            return why;
    } else if (getsockname(l->fd, &l->addr.sa, &len) == 0) {
        l->addr.len = len;
    }
    /* accepted sockets inherit these (tcp(7)), which saves a call or four for each client */
    sock_tune(l->fd, place->addr.sa.sa_family, s->keepalive);
    return listen(l->fd, SOMAXCONN) == 0 ? NULL : strerror(errno);
}

static void remove_socket_file(const struct listener *l)
{
    struct stat st;

    if (l->addr.sa.sa_family == AF_UNIX && l->inode != 0 && lstat(l->addr.un.sun_path, &st) == 0
        && st.st_ino == l->inode)
        (void)unlink(l->addr.un.sun_path);
}

static void destroy(struct listener *l)
{
    free(l->key);
    free(l);
}

static void on_poll_closed(uv_handle_t *handle)
{
    destroy(handle->data);
}

static void release(struct listener *l)
{
    if (--l->users > 0)
        return;
    remove_socket_file(l);
    if (l->served)
        uv_close((uv_handle_t *)&l->poll, on_poll_closed);
    if (l->fd >= 0)
        close(l->fd);
    if (!l->served)
        destroy(l);
}

static struct listener *make(const struct config_section *s, size_t index, char *key,
                             struct problems *problems)
{
    const struct config_listen *listen = &s->listen.items[index];
    struct listener *l = xcalloc(1, sizeof(*l));
    const char *why;

    l->key = key;
    l->users = 1;
    why = open_listener(l, s, listen);
    if (!why)
        return l;
    problems_add(problems, listen->where, "listen = %s: %s", listen->text, why);
    release(l);
    return NULL;
}

static void take_over(struct listener_set *set, struct listener *l)
{
    set->items = xrealloc(set->items, (set->count + 1) * sizeof(struct listener *));
    set->items[set->count++] = l;
}

struct listener_set *listener_set_prepare(const struct snapshot *snapshot,
                                          const struct listener_set *old, struct problems *problems)
{
    struct listener_set *set = xcalloc(1, sizeof(*set));
    const size_t before = problems->count;
    size_t i, j;

    for (i = 0; i < snapshot->count; i++) {
        const struct config_section *s = snapshot->sections[i].config;

        for (j = 0; j < s->listen.count; j++) {
            char *key = make_key(s, j);
            struct listener *l = find(old, key);

            if (l) {
                l->users++;
                free(key);
            } else {
                l = make(s, j, key, problems);
            }
            if (l)
                take_over(set, l);
        }
    }
    sort_by_key(set);
    if (problems->count == before)
        return set;
    listener_set_free(set);
    return NULL;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct listener *l = poll->data;
    struct listener_set *set = l->set;
    struct tunnel_client client = {.is_tcp = l->addr.sa.sa_family != AF_UNIX};
    struct addr *a = &client.addr;

    (void)status;
    (void)events;
    a->len = sizeof(*a) - offsetof(struct addr, sa);
    /* one a turn: the loop comes back at once while there are more, and most of the time there are none */
    client.fd = accept4(l->fd, &a->sa, &a->len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client.fd >= 0)
        set->events->accepted(l->section, &client, set->owner);
    else if (sock_error_is_shortage(errno))
        set->events->shortage(errno, set->owner);
    /* anything else was that client's own end (accept(2)) */
}

static void log_listen(const struct listener *l)
{
    char text[ADDR_TEXT_SIZE];
    struct log_line line;

    log_begin(&line, LOG_LEVEL_NOTICE, "listen", l->section->config->name);
    log_add(&line, "address", addr_format(&l->addr, text));
    log_end(&line);
}

/*
 * Gives every listener its section in the new snapshot, and what may have changed for it there. The
 * order is that of prepare().
 */
static void assign_sections(struct listener_set *set, const struct snapshot *snapshot)
{
    size_t i, j, n = 0;

    for (i = 0; i < snapshot->count; i++) {
        const struct config_section *s = snapshot->sections[i].config;

        for (j = 0; j < s->listen.count; j++, n++) {
            struct listener *l = set->items[n];

            l->section = &snapshot->sections[i];
            if (!l->served)
                continue;
            sock_tune(l->fd, l->addr.sa.sa_family, s->keepalive);
            if (l->addr.sa.sa_family == AF_UNIX)
                (void)set_access(&s->listen.items[j]);
        }
    }
}

void listener_set_commit(struct listener_set *set, struct listener_set *old,
                         const struct snapshot *snapshot, uv_loop_t *loop,
                         const struct listener_events *events, void *owner)
{
    size_t i;

    set->events = events;
    set->owner = owner;
    assign_sections(set, snapshot);
    for (i = 0; i < set->count; i++) {
        struct listener *l = set->items[i];

        l->set = set;
        if (l->served)
            continue;
        uv_poll_init(loop, &l->poll, l->fd);
        l->poll.data = l;
        l->served = true;
        log_listen(l);
    }
    listener_set_free(old);
}

void listener_set_pause(struct listener_set *set, bool pause)
{
    size_t i;

    for (i = 0; set && i < set->count; i++) {
        if (pause)
            uv_poll_stop(&set->items[i]->poll);
        else
            uv_poll_start(&set->items[i]->poll, UV_READABLE, on_readable);
    }
}

size_t listener_set_count(const struct listener_set *set)
{
    return set ? set->count : 0;
}

void listener_set_free(struct listener_set *set)
{
    size_t i;

    if (!set)
        return;
    for (i = 0; i < set->count; i++)
        release(set->items[i]);
    free(set->items);
    free(set->by_key);
    free(set);
}
