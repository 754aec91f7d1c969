#include "base/units.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/util.h"

#define LONGEST_DURATION_MS (INT64_C(3650) * 86400 * 1000)

static const char duration_hint[] =
    "a duration: 500ms, 10s, 5m, 2h or 1d (a bare number is seconds), at most 3650d";

static const struct {
    const char *suffix;
    int64_t ms;
} duration_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {"", 1000},
};

/* Reads digits at *text, and moves it behind them. Returns false if there are none or too many. */
static bool read_digits(const char **text, int64_t max, int64_t *value)
{
    const char *p = *text;
    int64_t v = 0;

    if (!isdigit((unsigned char)*p))
        return false;
    for (; isdigit((unsigned char)*p); p++) {
        v = v * 10 + (*p - '0');
        if (v > max)
            return false;
    }
    *text = p;
    *value = v;
    return true;
}

const char *units_duration(const char *text, int64_t *ms)
{
    int64_t n;
    size_t i;

    if (strcasecmp(text, "off") == 0) {
        *ms = 0;
        return NULL;
    }
    if (!read_digits(&text, LONGEST_DURATION_MS, &n))
        return duration_hint;
    for (i = 0; i < COUNT_OF(duration_units); i++) {
        if (strcmp(text, duration_units[i].suffix) != 0)
            continue;
        if (n > LONGEST_DURATION_MS / duration_units[i].ms)
            return duration_hint;
        *ms = n * duration_units[i].ms;
        return NULL;
    }
    return duration_hint;
}

const char *units_number(const char *text, long min, long max, long *value)
{
    static _Thread_local char hint[64];
    int64_t n;

    if (!read_digits(&text, max, &n) || *text || n < min) {
        snprintf(hint, sizeof(hint), "a number from %ld to %ld", min, max);
        return hint;
    }
    *value = (long)n;
    return NULL;
}

const char *units_bool(const char *text, bool *value)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {
        {"yes", true},  {"no", false},  {"on", true},
        {"off", false}, {"true", true}, {"false", false},
    };
    size_t i;

    for (i = 0; i < COUNT_OF(words); i++) {
        if (strcasecmp(text, words[i].word) == 0) {
            *value = words[i].value;
            return NULL;
        }
    }
    return "yes or no";
}

const char *units_date(const char *text, int64_t *seconds)
{
    static const char hint[] = "a date as YYYY-MM-DD";
    struct tm tm = {0}, check;
    time_t t;
    size_t i;

    for (i = 0; i < 10; i++)
        if (i == 4 || i == 7 ? text[i] != '-' : !isdigit((unsigned char)text[i]))
            return hint;
    if (text[10])
        return hint;
    if (sscanf(text, "%4d-%2d-%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday) != 3)
        return hint;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    check = tm;
    t = timegm(&check);
    /* timegm() turns 02-30 into 03-02 rather than refusing it */
    if (check.tm_mday != tm.tm_mday || check.tm_mon != tm.tm_mon || check.tm_year != tm.tm_year)
        return "a date that exists, as YYYY-MM-DD";
    *seconds = t;
    return NULL;
}

void units_format_date(int64_t seconds, char out[UNITS_DATE_SIZE])
{
    time_t t = (time_t)seconds;
    struct tm tm;

    if (!gmtime_r(&t, &tm) || strftime(out, UNITS_DATE_SIZE, "%Y-%m-%d", &tm) == 0)
        snprintf(out, UNITS_DATE_SIZE, "?");
}

void units_format_duration(int64_t ms, char out[UNITS_DURATION_SIZE])
{
    size_t i;

    if (ms == 0) {
        snprintf(out, UNITS_DURATION_SIZE, "off");
        return;
    }
    for (i = 0; ms % duration_units[i].ms != 0; i++)
        ;
    snprintf(out, UNITS_DURATION_SIZE, "%" PRId64 "%s", ms / duration_units[i].ms,
             duration_units[i].suffix);
}

void units_format_span(int64_t seconds, char out[UNITS_SPAN_SIZE])
{
    static const struct {
        uint64_t seconds;
        const char *name;
    } units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
    const uint64_t span = seconds < 0 ? -(uint64_t)seconds : (uint64_t)seconds;
    uint64_t n;
    size_t i = 0;

    while (units[i].seconds > 1 && span < units[i].seconds)
        i++;
    n = span / units[i].seconds;
    snprintf(out, UNITS_SPAN_SIZE, "%" PRIu64 " %s%s", n, units[i].name, n == 1 ? "" : "s");
}
