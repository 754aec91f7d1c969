#include "pinproxyd/reload.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "config/options.h"

/* A file with more errors is no configuration, and nobody reads them all. */
#define ERRORS_MAX 1000

static void log_failure(const char *detail)
{
    struct log_line l;

    log_begin(&l, LOG_LEVEL_ERROR, "reload_failed", NULL);
    log_add(&l, "detail", detail);
    log_end(&l);
}

enum reload_result reload_prepare(struct reload *next, const char *path,
                                  const struct snapshot *snapshot, struct listener_set *listeners,
                                  struct diag_list *diags)
{
    const size_t before = diags->count;
    struct reload r = {0};

    r.snapshot = snapshot_load(path, snapshot, diags);
    if (r.snapshot)
        r.listeners = listener_set_prepare(r.snapshot, listeners, diags);
    if (r.listeners)
        snapshot_create_state_dir(r.snapshot, geteuid(), diags);
    if (diags->count == before) {
        *next = r;
        return RELOAD_ORDERED;
    }
    listener_set_retire(r.listeners, listeners);
    snapshot_release(r.snapshot);
    return RELOAD_FAILED;
}

void reload_log_failed(const struct diag_list *diags)
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
