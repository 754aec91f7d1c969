#include "proxy/thread.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096

int thread_init(struct thread *r)
{
    int error;

    memset(r, 0, sizeof(*r));
    error = uv_loop_init(&r->loop);
    if (error)
        return error;
    error = resolver_new(&r->loop, &r->resolver);
    if (error) {
        uv_loop_close(&r->loop);
        return error;
    }
    watch_init(&r->watch, &r->loop);
    r->sessions = session_cache_new();
    r->certcache = certcache_new();
    /* on page borders: copies to and from the kernel are faster */
    r->io = (struct endpoint_io){.loop = &r->loop,
                                 .watch = &r->watch,
                                 .input = aligned_alloc(PAGE, TLS_TURN_SIZE),
                                 .input_size = TLS_TURN_SIZE};
    r->plaintext = aligned_alloc(PAGE, TLS_PLAINTEXT_SIZE);
    r->records.bytes = aligned_alloc(PAGE, TLS_RECORDS_SIZE);
    if (r->sessions && r->certcache && r->io.input && r->plaintext && r->records.bytes)
        return 0;
    thread_close(r);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    thread_free(r);
    return UV_ENOMEM;
}

void thread_turn(struct thread *r)
{
    if (r->turn)
        r->turn(r);
}

void thread_close(struct thread *r)
{
    resolver_close(r->resolver);
    r->resolver = NULL;
    watch_close(&r->watch);
}

void thread_free(struct thread *r)
{
    int busy = uv_loop_close(&r->loop);

    assert(busy == 0);
    (void)busy;
    session_cache_free(r->sessions);
    certcache_free(r->certcache);
    watch_free(&r->watch);
    free(r->io.input);
    free(r->plaintext);
    free(r->records.bytes);
    memset(r, 0, sizeof(*r));
}
