/* proxy/warm: how many connections each worker makes ahead, and who gets them. */
#include "proxy/warm.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "config/loader.h"
#include "configs.h"
#include "help.h"
#include "proxy/tunnel.h"

#define WORKERS_MAX 4

/* A server that never answers, and the workers that dial it. */
struct scene {
    int listener;
    struct addr at;
    int accepted[64];
    size_t accepted_count;
    struct thread threads[WORKERS_MAX];
    struct warm *workers[WORKERS_MAX];
    size_t count;
};

static struct scene *start(size_t workers)
{
    struct scene *s = test_calloc(1, sizeof(*s));
    socklen_t len = sizeof(s->at.in);

    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(addr_from_ip(&s->at, "127.0.0.1", 0));
    assert_int_equal(bind(s->listener, &s->at.sa, s->at.len), 0);
    assert_int_equal(listen(s->listener, 64), 0);
    assert_int_equal(getsockname(s->listener, &s->at.sa, &len), 0);
    s->count = workers;
    for (workers = 0; workers < s->count; workers++) {
        assert_int_equal(thread_init(&s->threads[workers]), 0);
        s->workers[workers] = warm_new(&s->threads[workers], workers, s->count);
    }
    return s;
}

static struct snapshot *make(const struct scene *s, const char *lines, const struct snapshot *old)
{
    struct diag_list diags = {0};
    struct snapshot *snapshot;
    char text[1024];

    snprintf(text, sizeof(text), "[a.example]\naddress = 127.0.0.1:%u\npin = " A "\n%s\n",
             addr_port(&s->at), lines);
    snapshot = snapshot_new(config_parse("test.conf", text, strlen(text), &diags), old, &diags);
    diag_print(&diags, stderr);
    assert_int_equal(diags.count, 0);
    return snapshot;
}

static void apply(struct scene *s, struct snapshot *snapshot)
{
    size_t i;

    warm_prepare(snapshot, s->count);
    for (i = 0; i < s->count; i++)
        warm_apply(s->workers[i], snapshot);
}

static void pump(struct scene *s, int turns)
{
    size_t i;
    int fd;

    while (turns--) {
        for (i = 0; i < s->count; i++)
            uv_run(&s->threads[i].loop, UV_RUN_NOWAIT);
        while ((fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
            assert_true(s->accepted_count < COUNT(s->accepted));
            s->accepted[s->accepted_count++] = fd;
        }
        usleep(1000);
    }
}

static void finish(struct scene *s)
{
    size_t i;

    for (i = 0; i < s->count; i++) {
        warm_stop(s->workers[i]);
        warm_stop(s->workers[i]);
        thread_close(&s->threads[i]);
        uv_run(&s->threads[i].loop, UV_RUN_DEFAULT); /* returns: every handle is closed */
        thread_free(&s->threads[i]);
        warm_free(s->workers[i]);
    }
    for (i = 0; i < s->accepted_count; i++)
        close(s->accepted[i]);
    close(s->listener);
    test_free(s);
}

static void the_number_is_for_each_listener(void **state)
{
    static const struct {
        const char *lines;
        size_t wanted;
    } rows[] = {
        {"", 0},
        {"listen = 127.0.0.1:0", 0},
        {"listen = 127.0.0.1:0\nwarm = 3", 3},
        {"listen = 127.0.0.1:0\n  127.0.0.1:0\nwarm = 3", 6},
        {"[defaults]\nwarm = 3", 0},
    };
    struct scene *s = start(1);
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        struct snapshot *snapshot = make(s, rows[i].lines, NULL);

        assert_int_equal(warm_wanted(&snapshot->frontends[0]), rows[i].wanted);
        snapshot_release(snapshot);
    }
    finish(s);
}

/* The server does not answer, so all of them stay dials; a worker has four at a time at most. */
static void the_workers_divide_the_number(void **state)
{
    size_t workers;

    (void)state;
    for (workers = 1; workers <= WORKERS_MAX; workers++) {
        struct scene *s = start(workers);
        struct snapshot *snapshot = make(s, "listen = 127.0.0.1:0\nwarm = 3", NULL);

        apply(s, snapshot);
        pump(s, 30);
        assert_int_equal(s->accepted_count, 3);
        apply(s, snapshot); /* again, as when keys were learned */
        pump(s, 30);
        assert_int_equal(s->accepted_count, 3);
        snapshot_release(snapshot);
        finish(s);
    }
}

static void a_server_is_not_flooded_at_a_start(void **state)
{
    struct scene *s = start(1);
    struct snapshot *snapshot = make(s, "listen = 127.0.0.1:0\nwarm = 50", NULL);

    (void)state;
    apply(s, snapshot);
    pump(s, 50);
    assert_true(s->accepted_count >= 1 && s->accepted_count <= 4);
    snapshot_release(snapshot);
    finish(s);
}

/* After a failure it pauses, and then one connection tries. */
static void a_server_that_fails_is_asked_less_and_less(void **state)
{
    struct scene *s = start(1);
    struct snapshot *snapshot = make(s, "listen = 127.0.0.1:0\nwarm = 4", NULL);
    size_t before, i;

    (void)state;
    apply(s, snapshot);
    for (before = 0, i = 0; i < 60; i++) {
        pump(s, 10);
        for (; before < s->accepted_count; before++)
            shutdown(s->accepted[before], SHUT_RDWR);
    }
    assert_true(s->accepted_count >= 4
                && s->accepted_count <= 9); /* 7, unless the machine is slow */
    snapshot_release(snapshot);
    finish(s);
}

static void a_reload_keeps_or_replaces_them(void **state)
{
    struct scene *s = start(2);
    struct snapshot *first = make(s, "listen = 127.0.0.1:0\nwarm = 3", NULL);
    struct snapshot *same = make(s, "listen = 127.0.0.1:0\nwarm = 3", first);
    struct snapshot *other = make(s, "listen = 127.0.0.1:0\nwarm = 3\nsni = b.example", same);
    struct snapshot *none = make(s, "listen = 127.0.0.1:0", other);

    (void)state;
    apply(s, first);
    pump(s, 30);
    apply(s, same);
    pump(s, 30);
    assert_int_equal(s->accepted_count, 3);
    assert_int_equal(atomic_load(&first->refs), 1); /* nothing uses it any more */
    apply(s, other);
    pump(s, 30);
    assert_int_equal(s->accepted_count, 6);
    assert_int_equal(atomic_load(&same->refs), 1);
    apply(s, none);
    pump(s, 30);
    assert_int_equal(s->accepted_count, 6);
    assert_int_equal(atomic_load(&other->refs), 1);
    snapshot_release(first);
    snapshot_release(same);
    snapshot_release(other);
    snapshot_release(none);
    finish(s);
}

static void a_connection_is_promised_to_one_client(void **state)
{
    struct scene *s = start(2);
    struct snapshot *snapshot = make(s, "listen = 127.0.0.1:0\nwarm = 2", NULL);
    struct stats *stats = snapshot->frontends[0].stats;

    (void)state;
    assert_false(warm_promise(stats, 0)); /* there were never any */
    apply(s, snapshot);
    assert_false(warm_promise(stats, 0));
    atomic_store(&stats->warm[1], 1);
    assert_false(warm_promise(stats, 0));
    assert_true(warm_promise(stats, 1));
    assert_false(warm_promise(stats, 1));
    warm_withdraw(stats, 1);
    assert_true(warm_promise(stats, 1));
    /* it is lost before the client comes, who gets none */
    assert_null(warm_take(s->workers[1], snapshot, &snapshot->frontends[0], true));
    assert_int_equal(atomic_load(&stats->warm[1]), 1);
    atomic_store(&stats->warm[1], 0);
    assert_null(warm_take(s->workers[1], snapshot, &snapshot->frontends[0], false));
    assert_int_equal(atomic_load(&stats->warm[1]), 0);
    snapshot_release(snapshot);
    finish(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_number_is_for_each_listener),
        cmocka_unit_test(the_workers_divide_the_number),
        cmocka_unit_test(a_server_is_not_flooded_at_a_start),
        cmocka_unit_test(a_server_that_fails_is_asked_less_and_less),
        cmocka_unit_test(a_reload_keeps_or_replaces_them),
        cmocka_unit_test(a_connection_is_promised_to_one_client),
    };

    signal(SIGPIPE, SIG_IGN);
    log_setup(LOG_LEVEL_SILENT, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
