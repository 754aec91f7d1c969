#include "proxy/thread.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096

int thread_init(struct thread *t)
{
    int error;
    bool ok;

    memset(t, 0, sizeof(*t));
    error = uv_loop_init(&t->loop);
    if (error)
        return error;
    error = resolver_new(&t->loop, &t->resolver);
    if (error) {
        uv_loop_close(&t->loop);
        return error;
    }
    watch_init(&t->watch, &t->loop);
    ok = tls_thread_init(&t->tls);
    /* on a page boundary, where the kernel copies faster */
    t->io = (struct endpoint_io){.loop = &t->loop,
                                 .watch = &t->watch,
                                 .input = aligned_alloc(PAGE, TLS_TURN_SIZE),
                                 .input_size = TLS_TURN_SIZE};
    t->plaintext = aligned_alloc(PAGE, TLS_PLAINTEXT_SIZE);
    if (ok && t->io.input && t->plaintext)
        return 0;
    thread_close(t);
    uv_run(&t->loop, UV_RUN_DEFAULT);
    thread_free(t);
    return UV_ENOMEM;
}

void thread_turn(struct thread *t)
{
    if (t->turn)
        t->turn(t);
}

void thread_close(struct thread *t)
{
    resolver_close(t->resolver);
    t->resolver = NULL;
    watch_close(&t->watch);
}

void thread_free(struct thread *t)
{
    int busy = uv_loop_close(&t->loop);

    assert(busy == 0);
    (void)busy;
    tls_thread_free(&t->tls);
    watch_free(&t->watch);
    free(t->io.input);
    free(t->plaintext);
    memset(t, 0, sizeof(*t));
}
