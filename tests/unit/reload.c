/* pinproxyd/reload: what a reload does not apply is reported. */
#include "pinproxyd/reload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_option_that_needs_a_restart_is_reported_and_no_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
