#include "net/lookup.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

#include "base/bgthread.h"

/* The part of the maximum that a class and those below it may use together. */
static const double part[] = {
    [LOOKUP_PROMPT] = 1,
    [LOOKUP_NEW] = 0.75,
    [LOOKUP_SLOW] = 0.25,
};

static struct {
    pthread_mutex_t lock;
    int max;
    int running[LOOKUP_CLASSES];
    TAILQ_HEAD(, lookup) waiting;
} lookups = {.lock = PTHREAD_MUTEX_INITIALIZER,
             .max = LOOKUPS_MAX,
             .waiting = TAILQ_HEAD_INITIALIZER(lookups.waiting)};

static bool has_room(enum lookup_class class)
{
    const int again = lookups.running[LOOKUP_AGAIN];
    int sum = 0, i;

    if (class == LOOKUP_AGAIN)
        return again == 0 || again < lookups.max / 2;
    for (i = LOOKUP_SLOW; i >= 0; i--) {
        sum += lookups.running[i];
        /* at least one may run */
        if (i <= (int)class && sum > 0 && sum >= part[i] * lookups.max)
            return false;
    }
    return true;
}

/* Returns the first look-up that waits and for which there is room, or NULL. */
static struct lookup *take_next(void)
{
    struct lookup *l;

    TAILQ_FOREACH (l, &lookups.waiting, link) {
        if (has_room(l->class)) {
            TAILQ_REMOVE(&lookups.waiting, l, link);
            lookups.running[l->class]++;
            return l;
        }
    }
    return NULL;
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void *run(void *arg)
{
    struct lookup *l = arg;

    while (l) {
        const struct addrinfo hints = {.ai_family = l->family, .ai_socktype = SOCK_STREAM};
        const enum lookup_class class = l->class;
        const int64_t start = now_ms();
        struct addrinfo *list = NULL;
        int error = getaddrinfo(l->host, NULL, &hints, &list);

        l->class = error || now_ms() - start > LOOKUP_SLOW_MS ? LOOKUP_SLOW : LOOKUP_PROMPT;
        l->done(l, error, error ? NULL : list);
        pthread_mutex_lock(&lookups.lock);
        lookups.running[class]--;
        l = take_next();
        pthread_mutex_unlock(&lookups.lock);
    }
    return NULL;
}

static int start_thread(struct lookup *l)
{
    pthread_t thread;
    const int error = bgthread_start(&thread, "lookup", run, l);

    if (error == 0)
        (void)pthread_detach(thread);
    return error;
}

/* Queues a look-up for which no thread could be started, if a thread runs that can take it. */
static int wait_instead(struct lookup *l, int error)
{
    int others = 0, i;

    pthread_mutex_lock(&lookups.lock);
    lookups.running[l->class]--;
    for (i = 0; i < LOOKUP_CLASSES; i++)
        others += lookups.running[i];
    if (others > 0)
        TAILQ_INSERT_TAIL(&lookups.waiting, l, link);
    pthread_mutex_unlock(&lookups.lock);
    return others > 0 ? 0 : error;
}

void lookup_set_max(int max)
{
    pthread_mutex_lock(&lookups.lock);
    lookups.max = max;
    pthread_mutex_unlock(&lookups.lock);
}

int lookup_start(struct lookup *l)
{
    bool now;
    int error;

    pthread_mutex_lock(&lookups.lock);
    now = has_room(l->class);
    if (now)
        lookups.running[l->class]++;
    else
        TAILQ_INSERT_TAIL(&lookups.waiting, l, link);
    pthread_mutex_unlock(&lookups.lock);
    error = now ? start_thread(l) : 0;
    return error ? wait_instead(l, error) : 0;
}
