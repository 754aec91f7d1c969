#include "net/watch.h"

#include <stdlib.h>
#include <string.h>

#define TICK_MS 500
#define ROOM_MIN 64

/* Makes room for all members. Returns false if memory is short; this tick is then skipped. */
static bool make_room(struct watch *watch)
{
    size_t room = watch->room ? watch->room : ROOM_MIN;
    struct pollfd *fds;
    struct watched **members;

    if (watch->count <= watch->room)
        return true;
    while (room < watch->count)
        room *= 2;
    fds = realloc(watch->fds, room * sizeof(*fds));
    if (!fds)
        return false;
    watch->fds = fds;
    members = realloc(watch->members, room * sizeof(*members));
    if (!members)
        return false;
    watch->members = members;
    watch->room = room;
    return true;
}

static size_t collect(struct watch *watch)
{
    struct watched *w;
    size_t n = 0;

    TAILQ_FOREACH (w, &watch->list, link) {
        watch->fds[n] = (struct pollfd){.fd = w->fd, .events = POLLRDHUP};
        watch->members[n++] = w;
    }
    return n;
}

static void on_tick(uv_timer_t *timer)
{
    struct watch *watch = timer->data;
    size_t n, i;

    if (!make_room(watch))
        return;
    n = collect(watch);
    if (poll(watch->fds, (nfds_t)n, 0) < 0)
        return; /* EINTR, ENOMEM: wait for the next tick */
    for (i = 0; i < n; i++)
        if (watch->members[i]->on) /* an earlier one may have removed it */
            watch->members[i]->tick(watch->members[i], watch->fds[i].revents);
}

void watch_init(struct watch *watch, uv_loop_t *loop)
{
    memset(watch, 0, sizeof(*watch));
    watch->loop = loop;
    TAILQ_INIT(&watch->list);
}

static void start(struct watch *watch)
{
    if (!watch->has_timer) {
        watch->has_timer = true;
        (void)uv_timer_init(watch->loop, &watch->timer); /* cannot fail */
        watch->timer.data = watch;
    }
    if (!uv_is_active((uv_handle_t *)&watch->timer))
        uv_timer_start(&watch->timer, on_tick, TICK_MS, TICK_MS);
}

void watch_set(struct watch *watch, struct watched *w, bool on)
{
    if (w->on == on)
        return;
    w->on = on;
    if (!on) {
        TAILQ_REMOVE(&watch->list, w, link);
        if (--watch->count == 0)
            uv_timer_stop(&watch->timer);
        return;
    }
    TAILQ_INSERT_TAIL(&watch->list, w, link);
    watch->count++;
    start(watch);
}

void watch_close(struct watch *watch)
{
    if (watch->has_timer && !uv_is_closing((uv_handle_t *)&watch->timer))
        uv_close((uv_handle_t *)&watch->timer, NULL);
}

void watch_free(struct watch *watch)
{
    free(watch->fds);
    free(watch->members);
}
