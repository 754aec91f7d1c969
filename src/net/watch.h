/*
 * Checks twice a second the sockets about which libuv reports nothing: those that are not read, and
 * those that wait for acknowledgments. One poll(2) covers all of a thread. While nothing is
 * watched, no timer runs.
 */
#ifndef NET_WATCH_H
#define NET_WATCH_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include <uv.h>

/* A socket. Embedded by its owner. */
struct watched {
    TAILQ_ENTRY(watched) link;
    bool on; /* in the list */
    int fd;
    /* Called on each tick, with what poll(2) returns for POLLRDHUP. */
    void (*tick)(struct watched *w, short revents);
};

struct watch {
    uv_loop_t *loop;
    uv_timer_t timer;
    bool has_timer; /* since the first socket was added */
    TAILQ_HEAD(, watched) list;
    size_t count;
    size_t room; /* elements of the two arrays, which each tick fills again */
    struct pollfd *fds;
    struct watched **members;
};

/* Initializes a watch on a loop. Cannot fail. */
void watch_init(struct watch *watch, uv_loop_t *loop);

/*
 * Adds or removes a socket. Idempotent. May be called from tick(). The owner must not free *w
 * before the loop's next turn after it was removed.
 */
void watch_set(struct watch *watch, struct watched *w, bool on);

/* Closes the timer. The loop must then run until its handles are closed. Idempotent. */
void watch_close(struct watch *watch);

/* Frees the memory. The loop must have ended. */
void watch_free(struct watch *watch);

#endif
