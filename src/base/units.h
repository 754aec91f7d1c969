/*
 * Parses and formats numbers, durations and dates of the configuration and the command line.
 *
 * Every parser returns NULL and sets the value; or it returns a phrase that follows "expected" and
 * leaves the value unchanged. The phrase is static, except that of units_number().
 */
#ifndef BASE_UNITS_H
#define BASE_UNITS_H

#include <stdbool.h>
#include <stdint.h>

/* Parses "500ms", "10s", "5m", "2h", "1d", a number of seconds, or "off" (0) to milliseconds. */
const char *units_duration(const char *text, int64_t *ms);

/*
 * Parses a number of decimal digits from min to max. The phrase is in a buffer of the thread, which
 * the next call overwrites.
 */
const char *units_number(const char *text, long min, long max, long *value);

/* Parses yes/no, on/off or true/false, in any case. */
const char *units_bool(const char *text, bool *value);

/* Parses YYYY-MM-DD to the start of that day in UTC, in seconds since the epoch. */
const char *units_date(const char *text, int64_t *seconds);

/* Writes the day of a time (seconds since the epoch) in UTC as YYYY-MM-DD. */
#define UNITS_DATE_SIZE 16
void units_format_date(int64_t seconds, char out[UNITS_DATE_SIZE]);

/* Writes a duration in milliseconds as a configuration has it: "10s", "1500ms", "off". */
#define UNITS_DURATION_SIZE 32
void units_format_duration(int64_t ms, char out[UNITS_DURATION_SIZE]);

/* Writes the length of a time span for people: "30 minutes", "1 hour", "216 days". */
#define UNITS_SPAN_SIZE 32
void units_format_span(int64_t seconds, char out[UNITS_SPAN_SIZE]);

#endif
