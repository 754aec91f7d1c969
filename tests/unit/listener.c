/* pinproxyd/listener: no client is lost by a reload, and a set that cannot be bound changes nothing. */
#include "pinproxyd/listener.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "config/loader.h"
#include "help.h"

#define PIN "pin = sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=\n"

static uv_loop_t loop;

/* What a set reported. */
static struct {
    int accepted, shortages;
    char name[64]; /* of the front end of the last client */
    enum stream_kind kind;
    int error;
} seen;

static void on_accepted(const struct frontend *frontend, const struct stream *client, void *owner)
{
    (void)owner;
    seen.accepted++;
    seen.kind = client->kind;
    snprintf(seen.name, sizeof(seen.name), "%s", frontend->name);
    close(client->fd);
}

static void on_shortage(int error, void *owner)
{
    (void)owner;
    seen.shortages++;
    seen.error = error;
}

static const struct listener_events events = {on_accepted, on_shortage};

static struct snapshot *make(const char *text)
{
    struct diag_list diags = {0};
    struct snapshot *s = snapshot_new(
        config_parse(temp_path("test.conf"), text, strlen(text), &diags), NULL, &diags);

    diag_print(&diags, stderr);
    assert_int_equal(diags.count, 0);
    return s;
}

static struct listener_set *prepare(const struct snapshot *s, struct listener_set *old)
{
    struct diag_list diags = {0};
    struct listener_set *set = listener_set_prepare(s, old, &diags);

    diag_print(&diags, stderr);
    assert_int_equal(diags.count, 0);
    assert_non_null(set);
    return set;
}

/* As the daemon does it. */
static struct listener_set *serve(const struct snapshot *s, struct listener_set *old)
{
    struct listener_set *set = prepare(s, old);

    listener_set_commit(set, &loop, &events, NULL);
    listener_set_pause(set, false);
    listener_set_retire(old, set);
    return set;
}

static void setup(void)
{
    memset(&seen, 0, sizeof(seen));
    assert_int_equal(uv_loop_init(&loop), 0);
}

/* Every handle has closed, or the loop cannot be. */
static void teardown(struct listener_set *set, struct snapshot *s)
{
    listener_set_retire(set, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    snapshot_release(s);
}

/* The kernel has the client in the backlog when connect(2) returns: one turn finds it. */
static void turn(void)
{
    int i;

    for (i = 0; i < 3; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
}

static uint16_t free_port(void)
{
    struct addr at;
    socklen_t len = sizeof(at.in);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    uint16_t port;

    assert_true(addr_from_ip(&at, "127.0.0.1", 0));
    assert_int_equal(bind(fd, &at.sa, at.len), 0);
    assert_int_equal(getsockname(fd, &at.sa, &len), 0);
    port = addr_port(&at);
    close(fd);
    return port;
}

/* Returns a descriptor, or -1 with errno. */
static int connect_tcp(uint16_t port)
{
    struct addr at;
    int fd = socket(AF_INET, SOCK_STREAM, 0), error;

    assert_true(addr_from_ip(&at, "127.0.0.1", port));
    if (connect(fd, &at.sa, at.len) == 0)
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int connect_unix(const char *path)
{
    struct addr at;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), error;

    assert_true(addr_from_unix(&at, path));
    if (connect(fd, &at.sa, at.len) == 0)
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

static struct snapshot *make_tcp(const char *name, uint16_t port)
{
    char text[256];

    snprintf(text, sizeof(text), "[%s]\nlisten = 127.0.0.1:%u\n" PIN, name, port);
    return make(text);
}

static void a_client_reaches_the_front_end_of_its_listener(void **state)
{
    const uint16_t port = free_port();
    const char *path = temp_path("front.sock");
    struct listener_set *set;
    struct snapshot *s;
    char text[512];
    int a, b;

    (void)state;
    snprintf(text, sizeof(text),
             "[a.example]\nlisten = 127.0.0.1:%u\n" PIN "[b.example]\nlisten = unix:%s\n" PIN
             "[c.example]\n" PIN,
             port, path);
    s = make(text);
    setup();
    set = serve(s, NULL);
    assert_int_equal(listener_set_count(set), 2);
    a = connect_tcp(port);
    turn();
    assert_string_equal(seen.name, "a.example");
    assert_int_equal(seen.kind, STREAM_TCP);
    b = connect_unix(path);
    turn();
    assert_string_equal(seen.name, "b.example");
    assert_int_equal(seen.kind, STREAM_SOCKET);
    assert_int_equal(seen.accepted, 2);
    close(a);
    close(b);
    teardown(set, s);
    assert_int_equal(access(path, F_OK), -1); /* its file is removed with it */
}

static void nobody_is_accepted_before_the_commit_or_while_paused(void **state)
{
    const uint16_t port = free_port();
    struct snapshot *s = make_tcp("a.example", port);
    struct listener_set *set;
    int fd;

    (void)state;
    setup();
    set = prepare(s, NULL);
    fd = connect_tcp(port); /* waits in the backlog */
    assert_true(fd >= 0);
    turn();
    assert_int_equal(seen.accepted, 0);
    listener_set_commit(set, &loop, &events, NULL);
    turn();
    assert_int_equal(seen.accepted, 0); /* new listeners begin paused */
    listener_set_pause(set, false);
    turn();
    assert_int_equal(seen.accepted, 1);
    close(fd);
    listener_set_pause(set, true);
    fd = connect_tcp(port);
    turn();
    assert_int_equal(seen.accepted, 1);
    listener_set_pause(set, false);
    turn();
    assert_int_equal(seen.accepted, 2);
    close(fd);
    teardown(set, s);
}

static void a_listener_that_moves_to_another_section_keeps_its_backlog(void **state)
{
    const uint16_t port = free_port();
    struct snapshot *before = make_tcp("a.example", port), *after = make_tcp("b.example", port);
    struct listener_set *set;
    int fd;

    (void)state;
    setup();
    set = serve(before, NULL);
    listener_set_pause(set, true);
    fd = connect_tcp(port);
    set = serve(after, set);
    snapshot_release(before);
    turn();
    assert_int_equal(seen.accepted, 1);
    assert_string_equal(seen.name, "b.example");
    close(fd);
    teardown(set, after);
}

static void a_client_that_waits_at_a_covered_listener_is_accepted(void **state)
{
    const uint16_t port = free_port();
    struct snapshot *before = make_tcp("a.example", port), *after;
    struct listener_set *set;
    char text[256];
    int fd;

    (void)state;
    snprintf(text, sizeof(text),
             "[global]\nremote_clients = yes\n[b.example]\nlisten = 0.0.0.0:%u\n" PIN, port);
    after = make(text);
    setup();
    set = serve(before, NULL);
    listener_set_pause(set, true);
    fd = connect_tcp(port);
    set = serve(after, set);
    assert_int_equal(listener_set_count(set), 1); /* those that the configuration names */
    snapshot_release(before);
    turn();
    assert_int_equal(seen.accepted, 1);
    assert_string_equal(seen.name, "b.example");
    close(fd);
    fd = connect_tcp(port);
    turn();
    assert_int_equal(seen.accepted, 2);
    close(fd);
    teardown(set, after);
}

static void a_removed_listener_is_closed(void **state)
{
    const uint16_t port = free_port();
    struct snapshot *before = make_tcp("a.example", port), *after = make("[a.example]\n" PIN);
    struct listener_set *set;
    char byte;
    int fd;

    (void)state;
    setup();
    set = serve(before, NULL);
    listener_set_pause(set, true);
    fd = connect_tcp(port);
    set = serve(after, set);
    assert_int_equal(listener_set_count(set), 0);
    snapshot_release(before);
    assert_int_equal(recv(fd, &byte, 1, 0), -1); /* nobody is there for it */
    assert_int_equal(errno, ECONNRESET);
    close(fd);
    assert_int_equal(connect_tcp(port), -1);
    assert_int_equal(errno, ECONNREFUSED);
    teardown(set, after);
}

/* One address is taken: what was bound beside it is closed, and the old set serves as before. */
static void a_set_that_cannot_be_bound_changes_nothing(void **state)
{
    const uint16_t port = free_port(), other = free_port();
    const char *path = temp_path("access.sock");
    struct snapshot *before, *after;
    struct diag_list diags = {0};
    struct listener_set *set;
    struct stat st;
    char text[512];
    struct addr at;
    int taken, fd;

    (void)state;
    taken = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(addr_from_ip(&at, "127.0.0.1", 0));
    assert_int_equal(bind(taken, &at.sa, at.len), 0);
    assert_int_equal(listen(taken, 1), 0);
    assert_int_equal(getsockname(taken, &at.sa, &(socklen_t){sizeof(at.in)}), 0);
    snprintf(text, sizeof(text), "[a.example]\nlisten = 127.0.0.1:%u\n unix:%s,mode=0600\n" PIN,
             port, path);
    before = make(text);
    snprintf(text, sizeof(text),
             "[b.example]\nlisten = unix:%s,mode=0666\n 127.0.0.1:%u\n 127.0.0.1:%u\n" PIN, path,
             other, addr_port(&at));
    after = make(text);
    setup();
    set = serve(before, NULL);
    assert_null(listener_set_prepare(after, set, &diags));
    assert_int_equal(diags.count, 1);
    assert_int_equal(diags.items[0].line, 4);
    assert_contains(diags.items[0].text, "listen = 127.0.0.1:");
    diag_free(&diags);
    snapshot_release(after);

    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(connect_tcp(other), -1);
    fd = connect_tcp(port);
    turn();
    assert_int_equal(seen.accepted, 1);
    assert_string_equal(seen.name, "a.example");
    close(fd);
    close(taken);
    teardown(set, before);
}

static void a_want_of_descriptors_is_reported(void **state)
{
    const uint16_t port = free_port();
    struct snapshot *s = make_tcp("a.example", port);
    struct rlimit limit, few;
    struct listener_set *set;
    int fd;

    (void)state;
    setup();
    set = serve(s, NULL);
    if (under_valgrind()) { /* it ignores the limit: there is no shortage to see */
        teardown(set, s);
        return;
    }
    fd = connect_tcp(port);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    few = limit;
    few.rlim_cur = 1; /* below what is open: none can be added */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(seen.accepted, 0);
    assert_true(seen.shortages > 0);
    assert_int_equal(seen.error, EMFILE);
    turn();
    assert_int_equal(seen.accepted, 1); /* it has waited */
    close(fd);
    teardown(set, s);
}

static void no_set_has_no_listeners(void **state)
{
    (void)state;
    assert_int_equal(listener_set_count(NULL), 0);
    listener_set_pause(NULL, true);
    listener_set_retire(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_reaches_the_front_end_of_its_listener),
        cmocka_unit_test(nobody_is_accepted_before_the_commit_or_while_paused),
        cmocka_unit_test(a_listener_that_moves_to_another_section_keeps_its_backlog),
        cmocka_unit_test(a_client_that_waits_at_a_covered_listener_is_accepted),
        cmocka_unit_test(a_removed_listener_is_closed),
        cmocka_unit_test(a_set_that_cannot_be_bound_changes_nothing),
        cmocka_unit_test(a_want_of_descriptors_is_reported),
        cmocka_unit_test(no_set_has_no_listeners),
    };

    log_setup(LOG_LEVEL_SILENT, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
