#include "pinproxyd/daemon.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/exitcode.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/notify.h"
#include "base/sock.h"
#include "pinproxyd/listener.h"
#include "pinproxyd/privileges.h"
#include "pinproxyd/status.h"
#include "proxy/worker.h"

#define TICK_MS 1000

/* How long accepting pauses when descriptors ran out, unless a tunnel ends before: with jitter. */
#define SHORTAGE_MS 100

/* Descriptors that are not tunnels': logs, loops, threads that resolve. */
#define FILES_RESERVED 32
#define FILES_PER_WORKER 8

enum state { STARTING, RUNNING, DRAINING, STOPPING };

struct daemon {
    const char *path;
    enum state state;
    uv_loop_t loop;
    struct snapshot *snapshot;
    struct listener_set *listeners;
    struct worker_pool pool;
    struct worker **workers;
    size_t worker_count;
    uint64_t most; /* tunnels in all */
    bool full;     /* that many are open */
    bool shortage; /* accept(2) found no descriptors */

    uv_async_t wake;
    uv_timer_t tick;
    uv_timer_t resume;
    uv_timer_t drain;
    uv_signal_t signals[4];
};

/* Accepting. */

static void update_accepting(struct daemon *d)
{
    listener_set_pause(d->listeners, d->full || d->shortage || d->state != RUNNING);
}

static void log_limit(const char *section, enum reason what, const char *detail)
{
    struct log_line l;

    log_begin(&l, LOG_LEVEL_WARNING, "limit", section);
    log_add(&l, "what", reason_name(what));
    log_add(&l, "detail", detail);
    log_end(&l);
}

/* Full or not? Asks to be told of ends before looking, so that none can slip between. */
static void update_full(struct daemon *d)
{
    const bool was_full = d->full;

    atomic_store(&d->pool.tell, true);
    d->full = atomic_load(&d->pool.tunnels) >= d->most;
    atomic_store(&d->pool.tell, d->full || d->shortage || d->state == DRAINING);
    if (d->full != was_full)
        update_accepting(d);
}

static struct worker *least_busy(const struct daemon *d)
{
    struct worker *best = d->workers[0];
    size_t i;

    for (i = 1; i < d->worker_count; i++)
        if (worker_load(d->workers[i]) < worker_load(best))
            best = d->workers[i];
    return best;
}

static void shed(const struct section *section, const struct tunnel_client *client,
                 enum reason reason)
{
    log_limit(section->config->name, reason, reason_text(reason));
    stats_add(&section->stats->ended[reason], 1);
    sock_close_reset(client->fd);
}

static void on_accepted(const struct section *section, const struct tunnel_client *client,
                        void *owner)
{
    struct daemon *d = owner;
    const uint64_t most = (uint64_t)section->config->max_connections;

    if (most && stats_get(&section->stats->open) >= most) {
        shed(section, client, REASON_MAX_CONNECTIONS);
        return;
    }
    if (!worker_take(least_busy(d), snapshot_hold(d->snapshot), section, client)) {
        snapshot_release(d->snapshot);
        shed(section, client, REASON_MEMORY);
        return;
    }
    if (atomic_load(&d->pool.tunnels) >= d->most) {
        log_limit(NULL, REASON_MAX_CONNECTIONS, "further clients wait in the backlog");
        update_full(d);
    }
}

static void on_resume(uv_timer_t *timer)
{
    struct daemon *d = timer->data;

    d->shortage = false;
    update_full(d);
    update_accepting(d);
}

static void on_shortage(int error, void *owner)
{
    struct daemon *d = owner;

    log_limit(NULL, error == ENOMEM || error == ENOBUFS ? REASON_MEMORY : REASON_FILES,
              strerror(error));
    d->shortage = true;
    atomic_store(&d->pool.tell, true);
    update_accepting(d);
    uv_timer_start(&d->resume, on_resume, SHORTAGE_MS + (uint64_t)random() % SHORTAGE_MS, 0);
}

static const struct listener_events listener_events = {on_accepted, on_shortage};

/* Starting and reloading. */

static void apply_log_settings(const struct config_global *g)
{
    log_setup((enum log_level)g->log_level,
              g->log_format == LOG_JSON ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
}

/* As many files as the kernel lets us have: setrlimit(2). */
static uint64_t raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1024;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        (void)getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

/* Tunnels in all: two descriptors each, a client's and an upstream's. */
static void set_most(struct daemon *d)
{
    const uint64_t wanted = (uint64_t)d->snapshot->config->global.max_connections;
    const uint64_t reserved = FILES_RESERVED + FILES_PER_WORKER * d->worker_count
                              + listener_set_count(d->listeners);
    const uint64_t files = raise_file_limit();
    const uint64_t possible = files > reserved + 2 ? (files - reserved) / 2 : 1;
    struct log_line l;

    d->most = wanted ? wanted : possible;
    if (wanted <= possible)
        return;
    log_begin(&l, LOG_LEVEL_WARNING, "limit", NULL);
    log_add(&l, "what", "files");
    log_addf(&l, "detail",
             "max_connections = %" PRIu64 " needs more than the %" PRIu64 " files this process may "
             "open: raise LimitNOFILE= to %" PRIu64,
             wanted, files, wanted * 2 + reserved);
    log_end(&l);
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

static void describe(const struct daemon *d, char *out, size_t size)
{
    snprintf(out, size, "%zu sections, %zu listeners, %" PRIu64 " tunnels", d->snapshot->count,
             listener_set_count(d->listeners), atomic_load(&d->pool.tunnels));
}

/* What a reload cannot change is said, not ignored. */
static void warn_of_restart(const struct config_global *before, const struct config_global *after)
{
    const struct {
        const char *option;
        bool changed;
    } checks[] = {
        {"workers", before->workers != after->workers},
        {"user", strcmp(before->user ? before->user : "", after->user ? after->user : "") != 0},
        {"group",
         strcmp(before->group ? before->group : "", after->group ? after->group : "") != 0},
    };
    struct log_line l;
    size_t i;

    for (i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        if (!checks[i].changed)
            continue;
        log_begin(&l, LOG_LEVEL_WARNING, "restart_needed", NULL);
        log_add(&l, "option", checks[i].option);
        log_add(&l, "detail", "takes effect when the daemon is started anew");
        log_end(&l);
    }
}

static void log_problems(const struct problems *problems)
{
    struct log_line l;
    size_t i;

    for (i = 0; i < problems->count; i++) {
        struct strbuf text = {0};

        log_begin(&l, LOG_LEVEL_ERROR, "reload_failed", NULL);
        problem_add_text(&problems->items[i], &text);
        log_add(&l, "detail", strbuf_text(&text));
        strbuf_free(&text);
        log_end(&l);
    }
}

/* Everything that can fail comes first; then the swap, which cannot. */
static void reload(struct daemon *d)
{
    struct problems problems = {0};
    struct listener_set *listeners = NULL;
    struct snapshot *next, *before = d->snapshot;
    char status[128];

    notify_reloading();
    next = snapshot_load(d->path, before, &problems);
    if (next)
        listeners = listener_set_prepare(next, d->listeners, &problems);
    if (listeners) {
        warn_of_restart(&before->config->global, &next->config->global);
        d->snapshot = next;
        apply_log_settings(&next->config->global);
        listener_set_commit(listeners, d->listeners, next, &d->loop, &listener_events, d);
        d->listeners = listeners;
        snapshot_release(before);
        set_most(d);
        update_full(d);
        update_accepting(d);
        log_state(d, "reload");
    } else {
        log_problems(&problems);
        snapshot_release(next);
    }
    problems_free(&problems);
    describe(d, status, sizeof(status));
    notify_ready(status);
}

/* Stopping. */

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle) && handle->type != UV_POLL)
        uv_close(handle, NULL);
}

static void stop(struct daemon *d)
{
    size_t i;

    if (d->state == STOPPING)
        return;
    d->state = STOPPING;
    for (i = 0; i < d->worker_count; i++)
        worker_kill(d->workers[i]);
    uv_stop(&d->loop);
}

static void on_drained(uv_timer_t *timer)
{
    stop(timer->data);
}

static void start_drain(struct daemon *d)
{
    const int64_t limit = d->snapshot->config->global.drain_timeout;
    char status[128];

    d->state = DRAINING;
    describe(d, status, sizeof(status));
    notify_stopping(status);
    listener_set_free(d->listeners);
    d->listeners = NULL;
    atomic_store(&d->pool.tell, true);
    if (limit > 0)
        uv_timer_start(&d->drain, on_drained, (uint64_t)limit, 0);
    if (atomic_load(&d->pool.tunnels) == 0)
        stop(d);
}

static void on_wake(uv_async_t *wake)
{
    struct daemon *d = wake->data;

    if (d->state == DRAINING && atomic_load(&d->pool.tunnels) == 0)
        stop(d);
    else if (d->state == RUNNING && d->shortage)
        on_resume(&d->resume);
    else if (d->state == RUNNING)
        update_full(d);
}

static void on_tick(uv_timer_t *tick)
{
    (void)tick;
    log_tick();
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct daemon *d = handle->data;

    if (number == SIGUSR1)
        status_log(d->snapshot);
    else if (number == SIGHUP && d->state == RUNNING)
        reload(d);
    else if (number != SIGHUP && d->state == RUNNING)
        start_drain(d);
    else if (number != SIGHUP)
        stop(d);
}

/* Life. */

/* CPUs that this process may use: sched_getaffinity(2). */
static long cpu_count(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

static bool start_workers(struct daemon *d)
{
    long count = d->snapshot->config->global.workers;
    sigset_t all, before;

    if (count == 0)
        count = cpu_count();
    d->workers = xcalloc((size_t)count, sizeof(struct worker *));
    /* signals are the main thread's */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (d->worker_count < (size_t)count) {
        d->workers[d->worker_count] = worker_start(&d->pool);
        if (!d->workers[d->worker_count])
            break;
        d->worker_count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (d->worker_count < (size_t)count)
        fprintf(stderr, "pinproxyd: only %zu of %ld workers could be started: %s\n",
                d->worker_count, count, strerror(errno));
    return d->worker_count == (size_t)count;
}

static void open_handles(struct daemon *d)
{
    static const int numbers[] = {SIGHUP, SIGTERM, SIGINT, SIGUSR1};
    uv_timer_t *const timers[] = {&d->tick, &d->resume, &d->drain};
    size_t i;

    uv_async_init(&d->loop, &d->wake, on_wake);
    d->wake.data = d;
    d->pool.wake = &d->wake;
    for (i = 0; i < sizeof(timers) / sizeof(timers[0]); i++) {
        uv_timer_init(&d->loop, timers[i]);
        timers[i]->data = d;
    }
    uv_timer_start(&d->tick, on_tick, TICK_MS, TICK_MS);
    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        uv_signal_init(&d->loop, &d->signals[i]);
        d->signals[i].data = d;
        uv_signal_start(&d->signals[i], on_signal, numbers[i]);
    }
}

/* Binds the listeners, and then gives up the rights that this took. */
static int bind_listeners(struct daemon *d)
{
    struct problems problems = {0};
    const struct config_global *g = &d->snapshot->config->global;
    const char *why;

    d->listeners = listener_set_prepare(d->snapshot, NULL, &problems);
    if (!d->listeners) {
        problems_print(&problems, stderr);
        problems_free(&problems);
        return EXITCODE_FAILURE; /* a port in use is no fault of the configuration's */
    }
    why = privileges_drop(g->user, g->group);
    if (why) {
        fprintf(stderr, "pinproxyd: user = %s, group = %s: %s\n", g->user ? g->user : "(none)",
                g->group ? g->group : "(none)", why);
        return EXITCODE_CONFIG;
    }
    return 0;
}

static void serve(struct daemon *d)
{
    char status[128];

    set_most(d);
    d->state = RUNNING;
    listener_set_commit(d->listeners, NULL, d->snapshot, &d->loop, &listener_events, d);
    update_accepting(d);
    log_state(d, "start");
    describe(d, status, sizeof(status));
    notify_ready(status);
    uv_run(&d->loop, UV_RUN_DEFAULT);
}

static void end(struct daemon *d, int status)
{
    bool clean = true;
    sigset_t all;
    size_t i;

    /* one more signal must not kill what is ending, when libuv has put back the default action */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    listener_set_free(d->listeners);
    for (i = 0; i < d->worker_count; i++)
        clean = worker_stop(d->workers[i]) && clean;
    if (d->state != STARTING)
        log_state(d, "stop");
    log_flush();
    /* a name look-up that hangs in the C library cannot be called back: leave it all to the kernel */
    if (!clean)
        _exit(status);
    uv_walk(&d->loop, close_handle, NULL);
    uv_run(&d->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&d->loop) != 0)
        abort(); /* a handle was forgotten */
    snapshot_release(d->snapshot);
    free(d->workers);
}

int daemon_run(const char *path, struct snapshot *snapshot)
{
    struct daemon d = {.path = path, .snapshot = snapshot};
    int status;

    signal(SIGPIPE, SIG_IGN);
    /* libuv's threads are where names are resolved: a few slow ones must not hold up the others */
    (void)setenv("UV_THREADPOOL_SIZE", "16", 0);
    apply_log_settings(&snapshot->config->global);
    (void)raise_file_limit();
    if (uv_loop_init(&d.loop) != 0) {
        fprintf(stderr, "pinproxyd: no event loop: %s\n", strerror(errno));
        return EXITCODE_FAILURE;
    }
    status = bind_listeners(&d);
    if (status == 0) {
        open_handles(&d);
        if (start_workers(&d))
            serve(&d);
        else
            status = EXITCODE_FAILURE;
    }
    end(&d, status);
    return status;
}
