/*
 * Writes log lines to standard error, and never lets a slow reader stall the thread that logs.
 *
 * Until logwriter_start(), a line is written at once, however long that takes. After it, a line
 * goes to a pipe or a socket at once if there is room. All others wait in a queue of bounded size,
 * which a thread writes: write(2) can stop for as long as it likes on a terminal after ^S, or on a
 * file on a slow disk. A line for which the queue has no room is dropped and counted.
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
 * Opens a pipe that is standard error again, through /proc/self/fd, to set O_NONBLOCK on an open
 * file description of our own: the one that we were started with may be shared with other programs
 * (open(2)). To be called before root's rights are given up, for the pipe may be root's. If this
 * cannot be done, all lines are left to the thread.
 */
void logwriter_open(void);

/* Starts the thread. Returns 0, or an errno. Before it, there may be a logwriter_open(). */
int logwriter_start(logwriter_report *report);

/* Writes, queues or drops a line. `line` ends in a newline, and is copied. */
void logwriter_write(const char *line, size_t len);

/* Waits until all lines are written, `ms` milliseconds at most. Returns false if some are not. */
bool logwriter_flush(int ms);

/*
 * Ends the thread. If the thread is stuck in write(2), it is left for the end of the process, and
 * further lines are dropped. Otherwise, further lines are written as before logwriter_open().
 */
void logwriter_stop(void);

#endif
