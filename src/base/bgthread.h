/* Threads. Signals are the main thread's alone. */
#ifndef BASE_BGTHREAD_H
#define BASE_BGTHREAD_H

#include <pthread.h>

/*
 * Starts a thread in which no signal arrives. name: as ps(1) and top(1) show it, 15 characters at
 * most; it has it when this returns. run: what it runs, with arg. The caller joins or detaches it;
 * it must not detach itself. Returns 0 and stores *thread, or returns an errno as pthread_create(3) does.
 */
int bgthread_start(pthread_t *thread, const char *name, void *run(void *), void *arg);

#endif
