#include "pinproxyd/status.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"

/* Adds every counter. Mismatches and warm connections are shown only if there are any. */
static void add_counters(struct log_line *l, const struct stats_values *values)
{
    size_t i;

    for (i = 0; i < STATS_COUNT; i++)
        if ((i != STATS_MISMATCHES && i != STATS_WARM) || values->counters[i])
            log_add_number(l, stats_rows[i].name, (int64_t)values->counters[i]);
}

static void log_status(const struct section *s)
{
    char day[UNITS_DATE_SIZE];
    struct stats_values values;
    struct log_line l;

    stats_read(s->stats, &values);
    log_begin(&l, LOG_LEVEL_NOTICE, "status", s->config->name);
    add_counters(&l, &values);
    log_add(&l, "pin", values.last_pin);
    if (config_is_reporting(s->config, clock_now()))
        log_add(&l, "enforce", "report");
    if (values.last_failure != REASON_NONE) {
        units_format_date(values.last_failure_at, day);
        log_add(&l, "last_failure", reason_name(values.last_failure));
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
