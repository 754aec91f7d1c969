/*
 * Runs getaddrinfo(3), which blocks and cannot be cancelled, in threads of its own. A thread starts
 * with a look-up for which there is room, continues with those that wait, and ends when none waits.
 *
 * At most LOOKUPS_MAX look-ups run at once in the process, and half as many that look up a name
 * again while its first look-up runs. Names that failed or were slow last time
 * may only use a part of them, and so may names that have not been looked up before, so that a name
 * server that does not answer for some hosts cannot delay the others.
 */
#ifndef NET_LOOKUP_H
#define NET_LOOKUP_H

#include <netdb.h>
#include <sys/queue.h>

#define LOOKUPS_MAX 64

/*
 * Descriptors for each look-up of the maximum, and its share of those that run again: a look-up
 * needs a socket to the name server, and one to sort its answers.
 */
#define LOOKUP_FILES 3

/* A look-up that takes longer is slow, in milliseconds. */
#define LOOKUP_SLOW_MS 1000

/* How the last look-up of a name went, the best first. */
enum lookup_class {
    LOOKUP_PROMPT, /* was answered promptly last time */
    LOOKUP_NEW,    /* has not been looked up before */
    LOOKUP_SLOW,   /* failed or was slow last time */
    LOOKUP_AGAIN,  /* new as well, while a look-up of the name in another family runs */
};

#define LOOKUP_CLASSES 4

/* Embedded by the owner, which sets the first four fields before the first lookup_start(). */
struct lookup {
    const char *host;        /* borrowed until done() */
    int family;              /* AF_UNSPEC, AF_INET or AF_INET6 */
    enum lookup_class class; /* NEW or AGAIN at first; this module then sets it */
    /*
     * Called once, from a thread of this module. error is 0 and list is the result, which the
     * callee frees with freeaddrinfo(3); or error is that of getaddrinfo(3) and list is NULL. The
     * callee may free the look-up, or start it again.
     */
    void (*done)(struct lookup *l, int error, struct addrinfo *list);

    TAILQ_ENTRY(lookup) link;
};

/* Sets how many look-ups may run at once: 1 to LOOKUPS_MAX, which is the default. */
void lookup_set_max(int max);

/*
 * Starts a look-up, or queues it until there is room. May be called from any thread. Returns 0, or
 * an errno value if no thread could be started; done() is then not called.
 */
int lookup_start(struct lookup *l);

#endif
