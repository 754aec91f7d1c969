/* Threads that leave all signals to the main thread. */
#ifndef BASE_BGTHREAD_H
#define BASE_BGTHREAD_H

#include <pthread.h>

/*
 * Starts a thread that runs run(arg) with all signals blocked. name is at most 15 characters long;
 * the thread has it, for ps(1) and top(1), before this returns. The caller joins or detaches the
 * thread, which must not detach itself. Returns 0 and sets *thread, or returns an errno
 * (pthread_create(3)).
 */
int bgthread_start(pthread_t *thread, const char *name, void *run(void *), void *arg);

#endif
