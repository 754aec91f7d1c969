/* Threads. Signals are the main thread's alone. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>

/*
 * Starts a thread in which no signal arrives. run: what it runs, with arg. The caller joins or
 * detaches it. Returns 0 and stores *thread, or returns an errno as pthread_create(3) does.
 */
int thread_start(pthread_t *thread, void *run(void *), void *arg);

#endif
