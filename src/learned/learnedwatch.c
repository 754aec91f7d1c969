#include "learned/learnedwatch.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "base/bgthread.h"
#include "base/log.h"

/* How often to check the file, whatever inotify reports. */
#define PERIOD_MS 1000

/* How long learnedwatch_stop() waits for the thread. */
#define STOP_SECONDS 1

/*
 * Not IN_MODIFY: a program that writes the file in place empties it first, and an empty file has no
 * key.
 */
#define EVENTS (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR)

struct learnedwatch {
    _Atomic unsigned refs; /* the owner's and the thread's */
    pthread_t thread;
    int inotify; /* -1: there is none, and only the check every second remains */
    int wakeup;  /* an eventfd, readable when `learned` or `stop` has changed */

    pthread_mutex_t lock; /* of the fields below */
    void (*changed)(void *arg);
    void *arg;
    struct learned *learned; /* a reference */
    uint64_t generation;     /* of the keys that were reported last */
    bool stop;
};

static void release(struct learnedwatch *w)
{
    if (atomic_fetch_sub(&w->refs, 1) != 1)
        return;
    learned_release(w->learned);
    pthread_mutex_destroy(&w->lock);
    if (w->inotify >= 0)
        close(w->inotify);
    if (w->wakeup >= 0)
        close(w->wakeup);
    free(w);
}

static void wake(struct learnedwatch *w)
{
    const uint64_t one = 1;

    /* it fails only if the descriptor is readable already */
    (void)!write(w->wakeup, &one, sizeof(one));
}

/* Returns the store to watch, a reference, or NULL. Sets *stop. */
static struct learned *get_order(struct learnedwatch *w, bool *stop)
{
    struct learned *l;

    pthread_mutex_lock(&w->lock);
    l = w->learned ? learned_hold(w->learned) : NULL;
    *stop = w->stop;
    pthread_mutex_unlock(&w->lock);
    return l;
}

static void log_failed(const char *why)
{
    struct log_line l;

    log_begin(&l, LOG_LEVEL_ERROR, "learned_failed", NULL);
    log_add(&l, "detail", why);
    log_end(&l);
}

static void report(struct learnedwatch *w, struct learned *l)
{
    const uint64_t generation = learned_generation(l);

    pthread_mutex_lock(&w->lock);
    if (w->changed && w->learned == l && w->generation != generation) {
        w->generation = generation;
        w->changed(w->arg);
    }
    pthread_mutex_unlock(&w->lock);
}

static void check(struct learnedwatch *w, struct learned *l)
{
    char *why;

    /*
     * before reading the file; and again each time, since the directory may be another one by now
     */
    if (w->inotify >= 0)
        (void)inotify_add_watch(w->inotify, learned_dir(l), EVENTS);
    (void)learned_refresh(l, &why);
    if (why)
        log_failed(why);
    free(why);
    report(w, l);
}

/* Waits for a change of the fields, an event, or the next check. */
static void wait(struct learnedwatch *w, int timeout)
{
    struct pollfd fds[] = {{.fd = w->wakeup, .events = POLLIN},
                           {.fd = w->inotify, .events = POLLIN}};
    char bytes[4096];
    size_t i;

    if (poll(fds, 2, timeout) <= 0)
        return;
    for (i = 0; i < 2; i++)
        if (fds[i].revents)
            (void)!read(fds[i].fd, bytes, sizeof(bytes));
}

static void *run(void *arg)
{
    struct learnedwatch *w = arg;
    bool stop;

    for (;;) {
        struct learned *l = get_order(w, &stop);

        if (l && !stop)
            check(w, l);
        learned_release(l);
        if (stop)
            break;
        wait(w, l ? PERIOD_MS : -1);
    }
    release(w);
    return NULL;
}

struct learnedwatch *learnedwatch_start(void (*changed)(void *arg), void *arg)
{
    struct learnedwatch *w = calloc(1, sizeof(*w));
    int error;

    if (!w)
        return NULL;
    atomic_init(&w->refs, 2);
    pthread_mutex_init(&w->lock, NULL);
    w->changed = changed;
    w->arg = arg;
    w->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    w->wakeup = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    error = w->wakeup < 0 ? errno : bgthread_start(&w->thread, "learnedwatch", run, w);
    if (error == 0)
        return w;
    release(w);
    release(w);
    errno = error;
    return NULL;
}

void learnedwatch_set(struct learnedwatch *w, struct learned *l)
{
    struct learned *before = NULL;

    pthread_mutex_lock(&w->lock);
    if (w->learned != l) {
        before = w->learned;
        w->learned = l ? learned_hold(l) : NULL;
        w->generation = l ? learned_generation(l) : 0;
        wake(w);
    }
    pthread_mutex_unlock(&w->lock);
    learned_release(before);
}

bool learnedwatch_stop(struct learnedwatch *w)
{
    struct timespec until;
    bool ended;

    if (!w)
        return true;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    w->changed = NULL; /* in case the thread does not end now */
    pthread_mutex_unlock(&w->lock);
    wake(w);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STOP_SECONDS;
    ended = pthread_timedjoin_np(w->thread, NULL, &until) == 0;
    if (!ended)
        pthread_detach(w->thread);
    release(w);
    return ended;
}
