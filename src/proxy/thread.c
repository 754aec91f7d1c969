#include "proxy/thread.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096

int reactor_init(struct reactor *r)
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
    r->familiar = familiar_new();
    /* on page borders: copies to and from the kernel are faster */
    r->io = (struct endpoint_io){.loop = &r->loop,
                                 .watch = &r->watch,
                                 .input = aligned_alloc(PAGE, TLS_TURN_SIZE),
                                 .input_size = TLS_TURN_SIZE};
    r->plaintext = aligned_alloc(PAGE, TLS_PLAINTEXT_SIZE);
    r->records.bytes = aligned_alloc(PAGE, TLS_RECORDS_SIZE);
    if (r->sessions && r->familiar && r->io.input && r->plaintext && r->records.bytes)
        return 0;
    reactor_close(r);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    reactor_free(r);
    return UV_ENOMEM;
}

void reactor_turn(struct reactor *r)
{
    if (r->turn)
        r->turn(r);
}

void reactor_close(struct reactor *r)
{
    resolver_close(r->resolver);
    r->resolver = NULL;
    watch_close(&r->watch);
}

void reactor_free(struct reactor *r)
{
    int busy = uv_loop_close(&r->loop);

    assert(busy == 0);
    (void)busy;
    session_cache_free(r->sessions);
    familiar_free(r->familiar);
    watch_free(&r->watch);
    free(r->io.input);
    free(r->plaintext);
    free(r->records.bytes);
    memset(r, 0, sizeof(*r));
}
