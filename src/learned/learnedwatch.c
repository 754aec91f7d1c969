#include "learned/learnedwatch.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "base/bgthread.h"
#include "base/log.h"
#include "base/util.h"

/* How often to check the file, whatever inotify reports. */
#define PERIOD_MS 1000

/* How long learnedwatch_stop() waits for the thread. */
#define STOP_SECONDS 1

/*
 * The events after which the file is complete. Many editors move the file away, or delete it, and
 * then write it again; others empty it first. A missing or an empty file has no key, and tunnels
 * would be closed. So IN_MOVED_FROM, IN_DELETE and IN_MODIFY are left to the check every second.
 */
#define EVENTS (IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR)

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

/* Reads events. Returns true if one is about the file, or if events were lost. */
static bool read_events(int inotify)
{
    _Alignas(struct inotify_event) char bytes[4096];
    const ssize_t n = read(inotify, bytes, sizeof(bytes));
    const struct inotify_event *e;
    bool found = false;
    ssize_t at;

    for (at = 0; at < n; at += (ssize_t)(sizeof(*e) + e->len)) {
        e = (const struct inotify_event *)(const void *)(bytes + at);
        found |= (e->mask & IN_Q_OVERFLOW) || (e->len && strcmp(e->name, "learned") == 0);
    }
    return found;
}

static int64_t monotonic_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/*
 * Waits for a change of the fields or, if a store is watched, for an event of its file or the next
 * check. Other files in the directory do not count: this one may be half written meanwhile.
 */
static void wait(struct learnedwatch *w, bool watching)
{
    struct pollfd fds[] = {{.fd = w->wakeup, .events = POLLIN},
                           {.fd = w->inotify, .events = POLLIN}};
    const int64_t next = monotonic_ms() + PERIOD_MS;
    int64_t left = PERIOD_MS;
    uint64_t count;

    while (left > 0 && poll(fds, COUNT_OF(fds), watching ? (int)left : -1) > 0) {
        if (fds[0].revents) {
            (void)!read(w->wakeup, &count, sizeof(count));
            return;
        }
        if (read_events(w->inotify))
            return;
        left = next - monotonic_ms();
    }
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
        wait(w, l != NULL);
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
