#include "pinproxyd/status.h"

#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"

static void log_status(const struct section *s)
{
    char pin[STATS_TEXT_SIZE], day[UNITS_DATE_SIZE];
    enum reason failure;
    int64_t at;
    struct log_line l;

    stats_last(s->stats, pin, &failure, &at);
    log_begin(&l, LOG_LEVEL_NOTICE, "status", s->config->name);
    log_add_number(&l, "tunnels", (int64_t)stats_get(&s->stats->open));
    log_add_number(&l, "total", (int64_t)stats_get(&s->stats->total));
    log_add_number(&l, "sent", (int64_t)stats_get(&s->stats->sent));
    log_add_number(&l, "received", (int64_t)stats_get(&s->stats->received));
    log_add(&l, "pin", pin);
    if (config_is_reporting(s->config, clock_now()))
        log_add(&l, "enforce", "report");
    if (stats_get(&s->stats->mismatches))
        log_add_number(&l, "mismatches", (int64_t)stats_get(&s->stats->mismatches));
    if (failure != REASON_NONE) {
        units_format_date(at, day);
        log_add(&l, "last_failure", reason_name(failure));
        log_add(&l, "last_failure_on", day);
    }
    log_end(&l);
}

void status_log(const struct snapshot *s)
{
    size_t i;

    for (i = 0; i < s->count; i++)
        log_status(&s->sections[i]);
}
