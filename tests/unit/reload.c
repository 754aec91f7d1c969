/* pinproxyd/reload: all or nothing, and what a reload does not apply is reported. */
#include "pinproxyd/reload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "config/options.h"
#include "help.h"
#include "samples.h"

static void every_option_that_needs_a_restart_is_reported_and_no_other(void **state)
{
    struct arena arena = {0};
    struct config_global before = {0};
    size_t i, n = 0;

    (void)state;
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    options_set_defaults(&before, OPTION_GLOBAL, &arena);
    for (i = 0; i < options_count; i++) {
        const struct option_row *o = &options[i];
        struct config_global after = {0};
        char option[64], *text;

        if (o->scope != OPTION_GLOBAL || !o->size)
            continue;
        options_set_defaults(&after, OPTION_GLOBAL, &arena);
        capture_start();
        reload_log_restart(&before, &after);
        assert_true(sample_set(o, &after, &arena));
        reload_log_restart(&before, &after);
        reload_log_restart(&after, &after);
        text = capture_end();
        snprintf(option, sizeof(option), "event=restart_needed option=%s ", o->name);
        if (o->flags & OPTION_RESTART) {
            assert_contains(text, option);
            assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
            n++;
        } else {
            assert_string_equal(text, "");
        }
        free(text);
    }
    assert_true(n > 0);
    arena_free(&arena);
}

#define PIN "pin = sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=\n"

/* A configuration in service with its listeners, none of which accepts yet. */
struct service {
    struct snapshot *snapshot;
    struct listener_set *listeners;
};

static struct service start(const char *text)
{
    struct diag_list diags = {0};
    struct service v = {snapshot_load(temp_text("reload.conf", text), NULL, &diags), NULL};

    if (v.snapshot)
        v.listeners = listener_set_prepare(v.snapshot, NULL, &diags);
    diag_print(&diags, stderr);
    assert_non_null(v.listeners);
    return v;
}

static void stop(struct service *v)
{
    listener_set_retire(v->listeners, NULL);
    snapshot_release(v->snapshot);
}

static bool can_connect(const char *path)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct addr at;
    bool ok;

    assert_true(addr_from_unix(&at, path));
    ok = connect(fd, &at.sa, at.len) == 0;
    close(fd);
    return ok;
}

static void a_reload_prepares_everything_beside_what_is_in_service(void **state)
{
    struct service v = start("[a.example]\nlisten = unix:old.sock\n" PIN);
    const char *path = temp_text("reload.conf", "[a.example]\nlisten = unix:old.sock\n"
                                                " unix:new.sock\n" PIN);
    struct diag_list diags = {0};
    struct reload next;

    (void)state;
    assert_int_equal(reload_prepare(&next, path, v.snapshot, v.listeners, &diags), RELOAD_ORDERED);
    assert_int_equal(diags.count, 0);
    assert_int_equal(listener_set_count(next.listeners), 2);
    assert_ptr_equal(next.snapshot->sections[0].stats, v.snapshot->sections[0].stats);
    assert_true(can_connect(temp_path("old.sock")));
    assert_true(can_connect(temp_path("new.sock")));
    listener_set_retire(next.listeners, NULL);
    snapshot_release(next.snapshot);
    stop(&v);
}

/* Whatever fails, and however late: the caller gets all faults, and nothing has changed. */
static void a_failed_reload_returns_its_faults_and_changes_nothing(void **state)
{
    static const struct {
        const char *text, *fault;
        unsigned line;
    } rows[] = {
        {"[a.example]\nlisten = unix:old.sock\nlisten = unix:new.sock\nnosuch = 1\n" PIN, "nosuch",
         4},
        {"[a.example]\nlisten = unix:new.sock\n unix:none/x.sock\n" PIN, "none/x.sock", 3},
        {"[global]\nstate_dir = none/state\n[a.example]\nlisten = unix:new.sock\nverify = tofu\n",
         "state_dir", 2},
    };
    struct service v = start("[a.example]\nlisten = unix:old.sock\n" PIN);
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        const char *path = temp_text("reload.conf", rows[i].text);
        struct reload next = {(struct snapshot *)&next, NULL};
        struct diag_list diags = {0};

        assert_int_equal(reload_prepare(&next, path, v.snapshot, v.listeners, &diags),
                         RELOAD_FAILED);
        assert_true(diags.count > 0);
        assert_contains(diags.items[0].text, rows[i].fault);
        assert_int_equal(diags.items[0].line, rows[i].line);
        assert_ptr_equal(next.snapshot, &next); /* untouched */
        assert_false(can_connect(temp_path("new.sock")));
        assert_true(can_connect(temp_path("old.sock")));
        assert_int_equal(atomic_load(&v.snapshot->refs), 1);
        diag_free(&diags);
    }
    stop(&v);
}

static void every_fault_of_a_failed_reload_is_logged_up_to_a_limit(void **state)
{
    const struct location at = {.file = "x.conf", .line = 7};
    struct diag_list diags = {0};
    char *text;
    int i;

    (void)state;
    diag_add(&diags, at, "the first");
    diag_add(&diags, at, "the second");
    capture_start();
    reload_log_failed(&diags);
    text = capture_end();
    assert_contains(text, "level=error event=reload_failed detail=\"x.conf:7: the first\"\n");
    assert_contains(text, "detail=\"x.conf:7: the second\"\n");
    free(text);

    for (i = 0; i < 1005; i++)
        diag_add(&diags, (struct location){.file = "x.conf", .line = 10 + (unsigned)i},
                 "one of many");
    capture_start();
    reload_log_failed(&diags);
    log_flush();
    text = capture_end();
    assert_contains(text, "7 errors more");
    free(text);
    diag_free(&diags);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reload_prepares_everything_beside_what_is_in_service),
        cmocka_unit_test(a_failed_reload_returns_its_faults_and_changes_nothing),
        cmocka_unit_test(every_fault_of_a_failed_reload_is_logged_up_to_a_limit),
        cmocka_unit_test(every_option_that_needs_a_restart_is_reported_and_no_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
