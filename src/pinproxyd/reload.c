#include "pinproxyd/reload.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "config/options.h"

/* More errors than this are a file of another kind: nobody reads them all. */
#define ERRORS_MAX 1000

static void log_failure(const char *detail)
{
    struct log_line l;

    log_begin(&l, LOG_LEVEL_ERROR, "reload_failed", NULL);
    log_add(&l, "detail", detail);
    log_end(&l);
}

static void log_problems(const struct diag_list *diags)
{
    size_t i;

    for (i = 0; i < diags->count && i < ERRORS_MAX; i++) {
        struct strbuf text = {0};

        diag_format(&diags->items[i], &text);
        log_failure(strbuf_text(&text));
        strbuf_free(&text);
    }
    if (i < diags->count) {
        char *more = xasprintf("%zu errors more: 'pinproxyd -t' prints all of them",
                               diags->count - i);

        log_failure(more);
        free(more);
    }
}

bool reload_prepare(struct reload *next, const char *path, const struct snapshot *snapshot,
                    struct listener_set *listeners)
{
    struct diag_list diags = {0};
    bool ok;

    next->listeners = NULL;
    next->snapshot = snapshot_load(path, snapshot, &diags);
    if (next->snapshot)
        next->listeners = listener_set_prepare(next->snapshot, listeners, &diags);
    if (next->listeners)
        snapshot_create_state_dir(next->snapshot, geteuid(), &diags);
    ok = next->listeners && diags.count == 0;
    if (!ok) {
        log_problems(&diags);
        listener_set_retire(next->listeners, listeners);
        snapshot_release(next->snapshot);
    }
    diag_free(&diags);
    return ok;
}

void reload_log_restart(const struct config_global *before, const struct config_global *after)
{
    struct log_line l;
    size_t i;

    for (i = 0; i < options_count; i++) {
        if (!(options[i].flags & OPTION_RESTART) || options_equal(&options[i], before, after))
            continue;
        log_begin(&l, LOG_LEVEL_WARNING, "restart_needed", NULL);
        log_add(&l, "option", options[i].name);
        log_add(&l, "detail", "takes effect after a restart");
        log_end(&l);
    }
}
