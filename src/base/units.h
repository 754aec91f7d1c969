/*
 * The words that configuration values and command-line options are written in.
 *
 * Every parser returns NULL and stores the value, or returns what would have been right, a phrase
 * that fits after "expected", and leaves the output untouched.
 */
#ifndef BASE_UNITS_H
#define BASE_UNITS_H

#include <stdbool.h>
#include <stdint.h>

/* "500ms", "10s", "5m", "2h", "1d"; a bare number is seconds; "0" or "off" is 0. Milliseconds. */
const char *units_duration(const char *text, int64_t *ms);

/* Decimal digits only, least <= value <= most. */
const char *units_number(const char *text, long min, long max, long *value);

/* yes/no, on/off, true/false, in any case. */
const char *units_bool(const char *text, bool *value);

/* YYYY-MM-DD: midnight UTC at the start of that day, in seconds since the epoch. */
const char *units_date(const char *text, int64_t *seconds);

/* The day of a time, as YYYY-MM-DD in UTC. */
#define UNITS_DATE_SIZE 16
void units_format_date(int64_t seconds, char out[UNITS_DATE_SIZE]);

/* A duration as it would be written in a configuration: "10s", "1500ms", "off". */
#define UNITS_DURATION_SIZE 32
void units_format_duration(int64_t ms, char out[UNITS_DURATION_SIZE]);

/* The length of a time span, whatever its sign, for people: "30 minutes", "1 hour", "216 days". */
#define UNITS_SPAN_SIZE 32
void units_format_span(int64_t seconds, char out[UNITS_SPAN_SIZE]);

#endif
