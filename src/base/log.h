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
 * repeat (same event, section and reason) are suppressed after a burst, and then logged with a
 * count. Every function may be called from any thread.
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
    bool wanted; /* false: the level suppresses it, and every call does nothing */
    enum log_level level;
    const char *event; /* static */
    struct strbuf values;
    int count;
    struct {
        const char *name; /* static */
        size_t offset;    /* into values, NUL-terminated there */
        bool number;
    } fields[LOG_FIELDS_MAX];
};

/*
 * Sets the level and the format. The defaults are info and text. Under systemd, each line of text
 * begins with the journal's <priority> (sd-daemon(3)).
 */
void log_setup(enum log_level level, enum log_format format);

/* Opens what log_start() writes to. See logwriter_open(). */
void log_open(void);

/*
 * Starts a thread that writes what a slow reader does not take at once. From now on no call waits
 * for the reader: lines beyond a limit are dropped, and `log_dropped` reports their number. Returns
 * 0 or an errno.
 */
int log_start(void);

/* Starts a line. section may be NULL. */
void log_begin(struct log_line *l, enum log_level level, const char *event, const char *section);

/* Adds a field. A value of NULL or "" adds nothing. A value is cut after 1 KiB. */
void log_add(struct log_line *l, const char *name, const char *value);
void log_addf(struct log_line *l, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void log_add_number(struct log_line *l, const char *name, int64_t value);

/* Writes the line, or suppresses it if it repeats. */
void log_end(struct log_line *l);

/* Writes suppressed lines whose time has come. To be called about once a second. */
void log_tick(void);

/* Writes all suppressed lines, and waits at most a second until everything is written. */
void log_flush(void);

/* Ends the thread of log_start(). To be called after log_flush(), at the end of the process. */
void log_stop(void);

#endif
