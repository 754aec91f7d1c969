/*
 * Runs getaddrinfo(3), which blocks and cannot be called back, in threads of its own. A thread
 * starts with a look-up for which there is room, continues with those that wait, and ends when none
 * does.
 *
 * There are LOOKUPS_MAX look-ups at once in the process. Names that failed or were slow last time
 * get a part of them, and so do names that have not been looked up before: a name server that is
 * silent about some hosts must not hold up the others.
 */
#ifndef NET_LOOKUP_H
#define NET_LOOKUP_H

#include <netdb.h>
#include <sys/queue.h>

#define LOOKUPS_MAX 64

/* Descriptors of a look-up: a socket to the name server, and one to sort its answers by. */
#define LOOKUP_FILES 2

/* A look-up that takes longer, in milliseconds, is slow. */
#define LOOKUP_SLOW_MS 1000

/* What is known of a name, the best first. */
enum lookup_class {
    LOOKUP_PROMPT, /* was answered promptly last time */
    LOOKUP_NEW,    /* has not been looked up before */
    LOOKUP_SLOW,   /* failed or was slow last time */
};

#define LOOKUP_CLASSES 3

/* Embedded by whoever looks up, who sets the first four before the first lookup_start(). */
struct lookup {
    const char *host;        /* stays in place until done() */
    int family;              /* AF_UNSPEC, AF_INET or AF_INET6 */
    enum lookup_class class; /* LOOKUP_NEW; later, this module sets it */
    /*
     * Called once, from a thread of this module: with zero and a list, which the callee frees with
     * freeaddrinfo(3), or with an error as in getaddrinfo(3) and NULL. The look-up may be freed or
     * started again by then.
     */
    void (*done)(struct lookup *l, int error, struct addrinfo *list);

    TAILQ_ENTRY(lookup) link;
};

/* Sets how many look-ups may run at once from now on: 1 to LOOKUPS_MAX, which is the default. */
void lookup_set_max(int max);

/*
 * Starts a look-up, or lets it wait for room. From any thread. Returns 0, or an errno when there is
 * no thread for it; done() is not called then.
 */
int lookup_start(struct lookup *l);

#endif
