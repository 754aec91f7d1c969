#include "pinproxyd/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sock.h"
#include "net/acceptor.h"
#include "pinproxyd/privileges.h"

struct listener {
    uv_poll_t poll;
    unsigned users; /* sets that hold it */
    bool served;    /* the poll handle is initialised */
    char *key;      /* by which a reload finds it again */
    struct acceptor acceptor;
    struct listener_set *set;
    const struct frontend *frontend;
};

/* A listener, and what the set's snapshot binds it to. */
struct binding {
    struct listener *listener;
    const struct frontend *frontend;
    const struct config_listen *config;
};

struct listener_set {
    struct binding *items;
    size_t count;
    size_t named; /* by the configuration: the first of them */
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
    size_t i;

    set->by_key = xcalloc(set->count, sizeof(struct listener *));
    for (i = 0; i < set->count; i++)
        set->by_key[i] = set->items[i].listener;
    if (set->count)
        qsort(set->by_key, set->count, sizeof(struct listener *), compare_keys);
}

static struct listener *find_listener(const struct listener_set *set, char *key)
{
    struct listener wanted = {.key = key}, *w = &wanted, **found;

    if (!set || set->count == 0)
        return NULL;
    found = bsearch(&w, set->by_key, set->count, sizeof(w), compare_keys);
    return found ? *found : NULL;
}

/* Returns the address, or, if the kernel chooses the port, the place in the configuration. */
static char *make_key(const struct frontend *frontend, size_t index)
{
    const struct config_listen *listen = &frontend->listen->items[index];
    char text[ADDR_TEXT_SIZE];

    addr_format(&listen->addr, text);
    if (listen->addr.sa.sa_family == AF_UNIX || addr_port(&listen->addr) != 0)
        return xstrdup(text);
    return xasprintf("%s %s %zu", text, frontend->name, index);
}

static void free_listener(struct listener *l)
{
    free(l->key);
    free(l);
}

static void on_poll_closed(uv_handle_t *handle)
{
    free_listener(handle->data);
}

static void release_listener(struct listener *l)
{
    if (l->served)
        uv_close((uv_handle_t *)&l->poll, on_poll_closed);
    acceptor_close(&l->acceptor);
    if (!l->served)
        free_listener(l);
}

static void add_listener(struct listener_set *set, struct listener *l,
                         const struct frontend *frontend, const struct config_listen *config)
{
    l->users++;
    set->items = xrealloc(set->items, (set->count + 1) * sizeof(*set->items));
    set->items[set->count++] = (struct binding){l, frontend, config};
}

static bool is_tcp(const struct listener *l)
{
    return l->acceptor.addr.sa.sa_family != AF_UNIX;
}

/* Returns true if the kernel binds only one of them, unless they share the port. */
static bool overlaps(const struct listener_set *set, const struct addr *addr)
{
    size_t i;

    for (i = 0; set && i < set->count; i++) {
        const struct listener *l = set->items[i].listener;

        if (is_tcp(l)
            && (addr_covers(&l->acceptor.addr, addr) || addr_covers(addr, &l->acceptor.addr)))
            return true;
    }
    return false;
}

static void share_port(const struct listener_set *set, uint16_t port, bool share)
{
    size_t i;

    for (i = 0; i < set->count; i++) {
        const struct listener *l = set->items[i].listener;

        if (is_tcp(l) && addr_port(&l->acceptor.addr) == port)
            sock_share_port(l->acceptor.fd, share);
    }
}

/* Binds a listener beside set, which is what is prepared so far, and old, which is in service. */
static char *open_listener(struct listener *l, const struct listener_set *set,
                           const struct listener_set *old, const struct frontend *frontend,
                           const struct config_listen *config, uid_t user)
{
    const struct acceptor_options options = {.place = config,
                                             .section = frontend->name,
                                             .keepalive = frontend->keepalive,
                                             .user = user,
                                             .share_port = overlaps(old, &config->addr)};
    const uint16_t port = addr_port(&config->addr);
    char *why;

    if (!options.share_port)
        return acceptor_open(&l->acceptor, &options);
    share_port(old, port, true);
    share_port(set, port, true);
    why = acceptor_open(&l->acceptor, &options);
    sock_seal_port(port);
    if (!why)
        sock_share_port(l->acceptor.fd, false);
    share_port(set, port, false);
    share_port(old, port, false);
    return why;
}

/*
 * Returns the listener of the old set if it stays, or a new one. Returns NULL with *why, which the
 * caller frees, if it cannot be bound.
 */
static struct listener *take_or_open(const struct listener_set *set, struct listener_set *old,
                                     const struct frontend *frontend, size_t index, uid_t user,
                                     char **why)
{
    const struct config_listen *config = &frontend->listen->items[index];
    char *key = make_key(frontend, index);
    struct listener *l = find_listener(old, key);

    if (l && acceptor_is_in_place(&l->acceptor)) {
        free(key);
        *why = acceptor_set_access(&l->acceptor, config);
        return *why ? NULL : l;
    }
    l = xcalloc(1, sizeof(*l));
    l->key = key;
    *why = open_listener(l, set, old, frontend, config, user);
    if (!*why)
        return l;
    free_listener(l);
    return NULL;
}

static const struct binding *find_binding(const struct listener_set *set, const struct addr *addr)
{
    size_t i;

    for (i = 0; i < set->count; i++)
        if (addr_covers(&set->items[i].listener->acceptor.addr, addr))
            return &set->items[i];
    return NULL;
}

/*
 * Keeps the old listeners whose place a wildcard listener has taken. While they are open, the
 * kernel gives them the clients of their address. If they were closed, a client that is just
 * connecting would be lost.
 */
static void keep_covered(struct listener_set *set, const struct listener_set *old)
{
    size_t i;

    for (i = 0; old && i < old->count; i++) {
        struct listener *l = old->items[i].listener;
        const struct binding *by = l->users == 1 ? find_binding(set, &l->acceptor.addr) : NULL;

        if (by && is_tcp(l) && addr_is_wildcard(&by->listener->acceptor.addr)
            && !addr_is_wildcard(&l->acceptor.addr))
            add_listener(set, l, by->frontend, by->config);
    }
}

struct listener_set *listener_set_prepare(const struct snapshot *snapshot, struct listener_set *old,
                                          struct diag_list *diags)
{
    struct listener_set *set = xcalloc(1, sizeof(*set));
    const size_t before = diags->count;
    const uid_t user = privileges_uid(snapshot->config->global.user);
    size_t i, j;

    for (i = 0; i < snapshot->frontend_count; i++) {
        const struct frontend *frontend = &snapshot->frontends[i];
        const struct config_listens *list = frontend->listen;

        for (j = 0; j < list->count; j++) {
            char *why;
            struct listener *l = take_or_open(set, old, frontend, j, user, &why);

            if (l)
                add_listener(set, l, frontend, &list->items[j]);
            else
                diag_add(diags, list->items[j].where, "listen = %s: %s", list->items[j].text, why);
            free(why);
        }
    }
    set->named = set->count;
    keep_covered(set, old);
    sort_by_key(set);
    if (diags->count == before)
        return set;
    listener_set_retire(set, old);
    return NULL;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct listener *l = poll->data;
    struct listener_set *set = l->set;
    struct stream client;

    (void)status;
    (void)events;
    /* one each turn: libuv calls again at once if there are more, and mostly there are none */
    if (acceptor_accept(&l->acceptor, &client))
        set->events->accepted(l->frontend, &client, set->owner);
    else if (sock_error_is_shortage(errno))
        set->events->shortage(errno, set->owner);
    /* every other error is of this client alone (accept(2)) */
}

static void log_listen(const struct listener *l)
{
    char text[ADDR_TEXT_SIZE];
    struct log_line line;

    log_begin(&line, LOG_LEVEL_NOTICE, "listen", l->frontend->name);
    log_add(&line, "address", addr_format(&l->acceptor.addr, text));
    log_end(&line);
}

void listener_set_commit(struct listener_set *set, uv_loop_t *loop,
                         const struct listener_events *events, void *owner)
{
    size_t i;

    set->events = events;
    set->owner = owner;
    for (i = 0; i < set->count; i++) {
        struct listener *l = set->items[i].listener;

        l->set = set;
        l->frontend = set->items[i].frontend;
        listening_rename(&l->acceptor.listening, l->frontend->name);
        sock_tune(l->acceptor.fd, l->acceptor.addr.sa.sa_family, l->frontend->keepalive);
        if (l->served)
            continue;
        uv_poll_init(loop, &l->poll, l->acceptor.fd);
        l->poll.data = l;
        l->served = true;
        log_listen(l);
    }
}

void listener_set_pause(struct listener_set *set, bool pause)
{
    size_t i;

    for (i = 0; set && i < set->count; i++) {
        if (pause)
            uv_poll_stop(&set->items[i].listener->poll);
        else
            uv_poll_start(&set->items[i].listener->poll, UV_READABLE, on_readable);
    }
}

size_t listener_set_count(const struct listener_set *set)
{
    return set ? set->named : 0;
}

/* Accepts the clients that wait in the backlog of a listener that will be closed. */
static void empty_backlog(const struct listener *l, const struct listener_set *set)
{
    struct stream client;
    int left = SOMAXCONN;

    while (left-- > 0 && acceptor_accept(&l->acceptor, &client)) {
        struct addr local = l->acceptor.addr;
        socklen_t len = sizeof(local) - offsetof(struct addr, sa);
        const struct binding *binding;

        if (client.kind == STREAM_TCP)
            (void)getsockname(client.fd, &local.sa, &len);
        binding = find_binding(set, &local);
        if (binding)
            set->events->accepted(binding->frontend, &client, set->owner);
        else
            sock_close_reset(client.fd);
    }
}

void listener_set_retire(struct listener_set *set, struct listener_set *in_service)
{
    size_t i;

    if (!set)
        return;
    for (i = 0; i < set->count; i++) {
        struct listener *l = set->items[i].listener;

        if (--l->users > 0)
            continue;
        if (in_service)
            empty_backlog(l, in_service);
        release_listener(l);
    }
    /* after a reload that has failed: listeners of both sets may have the new set's mode and owner */
    for (i = 0; in_service && i < in_service->count; i++)
        free(acceptor_set_access(&in_service->items[i].listener->acceptor,
                                 in_service->items[i].config));
    free(set->items);
    free(set->by_key);
    free(set);
}
