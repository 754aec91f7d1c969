/*
 * The event log: one event a line on standard error, in logfmt or JSON.
 *
 *     struct log_line l;
 *
 *     log_begin(&l, LOG_LEVEL_INFO, "tunnel_open", section->name);
 *     log_add(&l, "client", text);
 *     log_add_number(&l, "ms", ms);
 *     log_end(&l);
 *
 * Values may come from a peer: they are escaped here and nowhere else. Warnings and errors that
 * repeat (same event, section and reason) are held back after a burst and come out with a count.
 * May be called from any thread.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"

enum log_level {
    LOG_LEVEL_SILENT,
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_NOTICE,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
};

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

#define LOG_FIELDS_MAX 16

struct log_line {
    bool wanted; /* false: below the level, every call on it does nothing */
    enum log_level level;
    const char *event; /* a literal */
    struct strbuf values;
    int count;
    struct {
        const char *name; /* a literal */
        size_t offset;    /* into values, NUL-terminated there */
        bool number;
    } fields[LOG_FIELDS_MAX];
};

/* Until the first call: text, level info. Under systemd, lines carry the journal's <priority>. */
void log_setup(enum log_level level, enum log_format format);

/* Opens what log_start() writes to. See logwriter_open(). */
void log_open(void);

/*
 * From now on no call stalls when nobody reads the log: lines that cannot be written in time are
 * dropped, and `log_dropped` reports how many. Returns 0, or an errno if there is no thread for it.
 */
int log_start(void);

/* Starts a line. section may be NULL. */
void log_begin(struct log_line *l, enum log_level level, const char *event, const char *section);

/* Adds a field; NULL or "" adds nothing. Of a value the first 1 KiB is kept. */
void log_add(struct log_line *l, const char *name, const char *value);
void log_addf(struct log_line *l, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void log_add_number(struct log_line *l, const char *name, int64_t value);

/* Writes the line, or holds it back if it repeats. */
void log_end(struct log_line *l);

/* To be called about once a second: lets out what was held back. */
void log_tick(void);

/* Lets out all that was held back, and waits a second at most until it is written. */
void log_flush(void);

/* Undoes log_start() after a log_flush(): at the end of the process. */
void log_stop(void);

#endif
