#include "pinproxyd/daemon.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/exitcode.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/util.h"
#include "learned/learned.h"
#include "learned/learnedwatch.h"
#include "net/child.h"
#include "net/unreachable.h"
#include "pinproxyd/admission.h"
#include "pinproxyd/limits.h"
#include "pinproxyd/privileges.h"
#include "pinproxyd/reload.h"
#include "pinproxyd/status.h"
#include "pinproxyd/warnings.h"
#include "proxy/pool.h"

#define TICK_MS 1000

enum state { STARTING, RUNNING, DRAINING, STOPPING };

struct daemon {
    const char *path;
    enum state state;
    uv_loop_t loop;
    struct snapshot *snapshot;
    uint64_t reloading;         /* the order that not every worker has applied yet; 0: none */
    struct snapshot **replaced; /* held until then: a worker would take long to free one */
    size_t replaced_count;
    uint64_t learned_generation; /* of the learned pins that tunnels were last checked against */
    int64_t ordered_on;          /* the day of the last order, since the epoch */
    int64_t warned_on;           /* that of the last warnings */
    struct listener_set *listeners;
    struct learnedwatch *watch;
    struct pool pool;
    struct admission admission;
    struct heap_trim trim;

    uv_async_t wake;
    uv_timer_t tick;
    uv_timer_t drain;
    uv_signal_t signals[4];
};

/* Starting and reloading. */

static void apply_log_settings(const struct config_global *g)
{
    log_setup(g->log_level, g->log_format == LOG_JSON ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
}

static void log_state(const struct daemon *d, const char *event)
{
    struct log_line l;

    log_begin(&l, LOG_LEVEL_NOTICE, event, NULL);
    log_add(&l, "version", PACKAGE_VERSION);
    log_add_number(&l, "sections", (int64_t)d->snapshot->count);
    log_add_number(&l, "listeners", (int64_t)listener_set_count(d->listeners));
    log_end(&l);
}

/* Logs what ends soon: once a day, and whenever there is a new configuration. */
static void log_warnings(struct daemon *d)
{
    const int64_t now = clock_now();

    d->warned_on = now / DAY_SECONDS;
    warnings_log(d->snapshot, now);
}

/* Orders the workers to apply the snapshot in service. Returns the order's generation. */
static uint64_t order_snapshot(struct daemon *d)
{
    d->ordered_on = clock_now() / DAY_SECONDS; /* not later than a worker's check of dates */
    learnedwatch_set(d->watch, d->snapshot->learned);
    d->learned_generation = d->snapshot->learned ? learned_generation(d->snapshot->learned) : 0;
    return pool_apply(&d->pool, d->snapshot);
}

static void describe_state(const struct daemon *d, char *out, size_t size)
{
    snprintf(out, size, "%zu sections, %zu listeners, %" PRIu64 " tunnels", d->snapshot->count,
             listener_set_count(d->listeners), pool_tunnels(&d->pool));
}

static void report_ready(const struct daemon *d)
{
    char status[128];

    describe_state(d, status, sizeof(status));
    notify_ready(status);
}

static void release_replaced(struct daemon *d)
{
    while (d->replaced_count)
        snapshot_release(d->replaced[--d->replaced_count]);
    free(d->replaced);
    d->replaced = NULL;
}

static void hold_replaced(struct daemon *d, struct snapshot *before)
{
    d->replaced = xrealloc(d->replaced, (d->replaced_count + 1) * sizeof(*d->replaced));
    d->replaced[d->replaced_count++] = before;
}

/*
 * Ends a reload. It is reported only when every worker has applied it: who reads that a key is
 * revoked relies on it. A reload that comes meanwhile is waited for as well, and one line is logged.
 */
static void finish_reload(struct daemon *d)
{
    if (!d->reloading || !pool_has_applied(&d->pool, d->reloading))
        return;
    d->reloading = 0;
    release_replaced(d);
    log_state(d, "reload");
    log_warnings(d);
    if (d->state == RUNNING)
        report_ready(d);
}

/* Puts a new configuration in service. Cannot fail: reload_prepare() has done all that can. */
static void swap_configuration(struct daemon *d, const struct reload *next)
{
    struct snapshot *before = d->snapshot;
    struct listener_set *listeners = d->listeners;

    reload_log_restart(&before->config->global, &next->snapshot->config->global);
    d->snapshot = next->snapshot;
    /* first: no client may reach a worker with it before the worker knows of it */
    unreachable_clear();
    d->reloading = order_snapshot(d);
    apply_log_settings(&d->snapshot->config->global);
    d->listeners = next->listeners;
    admission_serve(&d->admission, d->snapshot, d->listeners);
    listener_set_retire(listeners, d->listeners);
    hold_replaced(d, before);
    heap_trim_soon(&d->trim);
}

/*
 * Reads the configuration again and puts it in service. Returns RELOAD_ORDERED, and finish_reload()
 * ends it, or RELOAD_FAILED with diags added.
 */
static enum reload_result reload(struct daemon *d, struct diag_list *diags)
{
    struct reload next;
    const enum reload_result result = reload_prepare(&next, d->path, d->snapshot, d->listeners,
                                                     diags);

    if (result == RELOAD_ORDERED)
        swap_configuration(d, &next);
    return result;
}

static void reload_on_signal(struct daemon *d)
{
    struct diag_list diags = {0};

    notify_reloading();
    if (reload(d, &diags) == RELOAD_FAILED)
        reload_log_failed(&diags);
    diag_free(&diags);
    if (!d->reloading)
        report_ready(d);
}

/* Stopping. */

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle) && handle->type != UV_POLL)
        uv_close(handle, NULL);
}

static void stop_daemon(struct daemon *d)
{
    if (d->state == STOPPING)
        return;
    d->state = STOPPING;
    pool_kill(&d->pool);
    uv_stop(&d->loop);
}

static void on_drained(uv_timer_t *timer)
{
    stop_daemon(timer->data);
}

static void start_drain(struct daemon *d)
{
    const int64_t limit = d->snapshot->config->global.drain_timeout;
    char status[128];

    d->state = DRAINING;
    describe_state(d, status, sizeof(status));
    notify_stopping(status);
    admission_stop(&d->admission);
    pool_drain(&d->pool);
    listener_set_retire(d->listeners, NULL);
    d->listeners = NULL;
    uv_timer_start(&d->drain, on_drained, (uint64_t)limit, 0);
    if (pool_tunnels(&d->pool) == 0)
        stop_daemon(d);
}

/* In the thread of the watch. */
static void on_learned_changed(void *arg)
{
    struct daemon *d = arg;

    (void)uv_async_send(&d->wake);
}

/* Has open tunnels checked against the learned pins if these have changed. */
static void recheck_learned(struct daemon *d)
{
    const struct learned *l = d->snapshot->learned;

    if (l && learned_generation(l) != d->learned_generation)
        (void)order_snapshot(d);
}

static void on_wake(uv_async_t *wake)
{
    struct daemon *d = wake->data;

    finish_reload(d);
    recheck_learned(d);
    if (d->state == DRAINING && pool_tunnels(&d->pool) == 0)
        stop_daemon(d);
    else if (d->state == RUNNING)
        admission_update(&d->admission);
}

static void on_tick(uv_timer_t *tick);

/* Sets the next tick. It is not after the next midnight (UTC), when pins end. */
static void start_tick(struct daemon *d)
{
    const int64_t left = clock_ms_to_midnight();

    uv_timer_start(&d->tick, on_tick, left < TICK_MS ? (uint64_t)left : TICK_MS, 0);
}

static void on_tick(uv_timer_t *tick)
{
    struct daemon *d = tick->data;
    const int64_t today = clock_now() / DAY_SECONDS;

    log_tick();
    notify_retry();
    heap_trim_tick(&d->trim, pool_memory(&d->pool));
    start_tick(d);
    if (today != d->warned_on)
        log_warnings(d);
    if (today != d->ordered_on)
        (void)order_snapshot(d); /* pins end with a day (UTC), and some close their tunnels */
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct daemon *d = handle->data;

    if (number == SIGUSR1)
        status_log(d->snapshot);
    else if (number == SIGHUP && d->state == RUNNING)
        reload_on_signal(d);
    else if (number != SIGHUP && d->state == RUNNING)
        start_drain(d);
    else if (number != SIGHUP)
        stop_daemon(d);
}

/* Life. */

static bool start_workers(struct daemon *d)
{
    const long wanted = d->snapshot->config->global.workers;
    const size_t count = (size_t)(wanted ? wanted : limits_cpus());

    errno = log_start();
    if (errno == 0)
        d->watch = learnedwatch_start(on_learned_changed, d);
    if (d->watch && pool_start(&d->pool, count, &d->wake))
        return true;
    fprintf(stderr, "pinproxyd: only %zu of %zu workers could be started: %s\n", d->pool.count,
            count, strerror(errno));
    return false;
}

static void open_handles(struct daemon *d)
{
    static const int numbers[] = {SIGHUP, SIGTERM, SIGINT, SIGUSR1};
    uv_timer_t *const timers[] = {&d->tick, &d->drain};
    size_t i;

    admission_init(&d->admission, &d->loop, &d->pool, &d->trim);
    uv_async_init(&d->loop, &d->wake, on_wake);
    d->wake.data = d;
    for (i = 0; i < COUNT_OF(timers); i++) {
        uv_timer_init(&d->loop, timers[i]);
        timers[i]->data = d;
    }
    start_tick(d);
    for (i = 0; i < COUNT_OF(numbers); i++) {
        uv_signal_init(&d->loop, &d->signals[i]);
        d->signals[i].data = d;
        uv_signal_start(&d->signals[i], on_signal, numbers[i]);
    }
}

/* Binds the listeners, and then drops the privileges that this needs. */
static int bind_listeners(struct daemon *d)
{
    struct diag_list diags = {0};
    const struct config_global *g = &d->snapshot->config->global;
    const char *why;

    d->listeners = listener_set_prepare(d->snapshot, NULL, &diags);
    if (!d->listeners) {
        diag_print(&diags, stderr);
        diag_free(&diags);
        return EXITCODE_FAILURE; /* a port in use is no fault of the configuration */
    }
    why = privileges_drop(g->user, g->group);
    if (why) {
        fprintf(stderr, "pinproxyd: user = %s, group = %s: %s\n", g->user ? g->user : "(none)",
                g->group ? g->group : "(none)", why);
        return EXITCODE_CONFIG;
    }
    return 0;
}

/* Creates the directory of learned pins, as the user that the daemon runs as from now on. */
static int create_state_dir(const struct daemon *d)
{
    struct diag_list diags = {0};
    int status;

    snapshot_create_state_dir(d->snapshot, geteuid(), &diags);
    diag_print(&diags, stderr);
    status = diags.count ? EXITCODE_CONFIG : EXITCODE_OK;
    diag_free(&diags);
    return status;
}

static void serve_clients(struct daemon *d)
{
    (void)order_snapshot(d);
    d->state = RUNNING;
    admission_serve(&d->admission, d->snapshot, d->listeners);
    log_state(d, "start");
    log_warnings(d);
    report_ready(d);
    uv_run(&d->loop, UV_RUN_DEFAULT);
}

/* Closes everything on the main loop. Nothing there takes long. */
static void close_loop(struct daemon *d)
{
    int busy;

    uv_walk(&d->loop, close_handle, NULL);
    uv_run(&d->loop, UV_RUN_DEFAULT);
    busy = uv_loop_close(&d->loop);
    assert(busy == 0); /* a forgotten handle is found here */
    (void)busy;
}

static void end_daemon(struct daemon *d, int status)
{
    sigset_t all;
    bool clean;

    /* libuv restores the default actions: one more signal must not kill the process now */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    listener_set_retire(d->listeners, NULL);
    child_kill_all(SIGTERM);
    clean = pool_stop(&d->pool);
    clean = learnedwatch_stop(d->watch) && clean;
    if (d->state != STARTING)
        log_state(d, "stop");
    log_flush();
    /* a thread that hangs in the kernel cannot be called back: leave it all to the kernel */
    if (!clean) {
        child_kill_all(SIGKILL);
        _exit(status);
    }
    close_loop(d);
    release_replaced(d);
    snapshot_release(d->snapshot);
    pool_free(&d->pool);
    log_stop();
}

int daemon_run(const char *path, struct snapshot *snapshot)
{
    struct daemon d = {.path = path, .snapshot = snapshot};
    int status, error;

    /* a write that fails is an error of write(2), and does not kill the process */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    apply_log_settings(&snapshot->config->global);
    log_open();
    (void)limits_raise_files();
    error = uv_loop_init(&d.loop);
    if (error) {
        fprintf(stderr, "pinproxyd: cannot create an event loop: %s\n", uv_strerror(error));
        return EXITCODE_FAILURE;
    }
    status = bind_listeners(&d);
    if (status == 0)
        status = create_state_dir(&d);
    if (status == 0) {
        open_handles(&d);
        if (start_workers(&d))
            serve_clients(&d);
        else
            status = EXITCODE_FAILURE;
    }
    end_daemon(&d, status);
    return status;
}
