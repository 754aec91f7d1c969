/*
 * Writes log lines to standard error without ever stalling the thread that logs.
 *
 * Before logwriter_start(), a line is written at once, however long that takes. After it, a line
 * goes to a pipe or a socket at once if there is room. All others wait in a queue of limited size,
 * which a thread writes: write(2) may block on a terminal after ^S, or on a file on a slow disk. A
 * line that does not fit into the queue is dropped and counted.
 *
 * May be called from any thread.
 */
#ifndef BASE_LOGWRITER_H
#define BASE_LOGWRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"

/*
 * Appends to `out` the line that reports `count` dropped lines, with its newline, or nothing.
 * Called from the writer's thread.
 */
typedef void logwriter_report(uint64_t count, struct strbuf *out);

/*
 * If standard error is a pipe, opens it again through /proc/self/fd, to set O_NONBLOCK on an own
 * open file description: other programs may share the inherited one (open(2)). To be called before
 * root privileges are dropped, because the pipe may belong to root. If it fails, the thread writes
 * all lines.
 */
void logwriter_open(void);

/* Starts the thread. logwriter_open() may be called before it. Returns 0 or an errno. */
int logwriter_start(logwriter_report *report);

/* Writes, queues or drops a line of len bytes, which ends in a newline and is copied. */
void logwriter_write(const char *line, size_t len);

/* Waits until all lines are written, at most ms milliseconds. Returns false if some are not. */
bool logwriter_flush(int ms);

/*
 * Ends the thread. If it is blocked in write(2), it is left for the end of the process, and further
 * lines are dropped. Otherwise further lines are written as before logwriter_open().
 */
void logwriter_stop(void);

#endif
