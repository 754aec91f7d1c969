#include "base/logwriter.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/bgthread.h"

/* Bytes that may wait in the queue. The thread may be writing as many again. */
#define QUEUE_MAX (1024 * 1024)

/* A larger buffer is freed when its lines are written. */
#define BUFFER_KEPT (64 * 1024)

/*
 * Bytes of one write(2) to a file. One to a pipe takes PIPE_BUF, so that lines of several processes
 * do not mix: pipe(7).
 */
#define FILE_CHUNK (64 * 1024)

/* While lines are lost, a report of them is tried this often. */
#define RETRY_SECONDS 1

static struct {
    pthread_mutex_t lock;
    pthread_cond_t work; /* wakes the thread: there are lines, or it has to end */
    pthread_cond_t idle; /* wakes logwriter_flush(): everything is written */
    pthread_t thread;
    logwriter_report *report;
    bool running;
    bool stopping;
    bool busy;         /* the thread is writing lines */
    bool never_blocks; /* writing to fd */
    bool is_socket;
    bool torn; /* the last line written is not whole */
    int fd;
    size_t chunk;
    struct strbuf queue;
    uint64_t dropped; /* lines dropped after those in the queue */
    uint64_t lost;    /* lines dropped before those in the queue, not reported yet */
} writer = {.lock = PTHREAD_MUTEX_INITIALIZER,
            .work = PTHREAD_COND_INITIALIZER,
            .idle = PTHREAD_COND_INITIALIZER,
            .fd = STDERR_FILENO,
            .chunk = FILE_CHUNK};

static ssize_t write_some(const char *bytes, size_t n)
{
    return writer.is_socket ? send(writer.fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL)
                            : write(writer.fd, bytes, n);
}

static bool would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK;
}

/*
 * Writes n bytes, however long that takes. Returns how many were written before an error.
 */
static size_t write_all(const char *bytes, size_t len)
{
    struct pollfd p = {.fd = writer.fd, .events = POLLOUT};
    size_t done = 0;
    ssize_t n;

    while (done < len) {
        n = write_some(bytes + done, len - done);
        if (n > 0)
            done += (size_t)n;
        else if (n < 0 && would_block())
            (void)poll(&p, 1,
                       -1); /* another program that shares standard error may have set O_NONBLOCK */
        else if (n == 0 || errno != EINTR)
            break;
    }
    return done;
}

static uint64_t count_lines(const char *bytes, size_t n)
{
    const char *end = bytes + n;
    uint64_t lines = 0;

    for (; bytes < end && (bytes = memchr(bytes, '\n', (size_t)(end - bytes))); bytes++)
        lines++;
    return lines;
}

/* Returns the length of the lines that fit into one write(2); a longer line goes alone. */
static size_t chunk_size(const char *bytes, size_t len)
{
    const char *newline;

    if (len <= writer.chunk)
        return len;
    newline = memrchr(bytes, '\n', writer.chunk);
    if (!newline)
        newline = memchr(bytes, '\n', len);
    return newline ? (size_t)(newline - bytes) + 1 : len;
}

/* Writes lines, and returns how many of them were lost. Only one thread at a time. */
static uint64_t write_lines(const char *bytes, size_t len)
{
    uint64_t lost = 0;
    size_t n, done;

    for (; len > 0; bytes += n, len -= n) {
        n = chunk_size(bytes, len);
        /* after half a line (the disk was full) the next one begins on a line of its own */
        if (writer.torn && write_all("\n", 1) == 1)
            writer.torn = false;
        done = writer.torn ? 0 : write_all(bytes, n);
        if (done > 0)
            writer.torn = bytes[done - 1] != '\n';
        lost += count_lines(bytes + done, n - done);
    }
    return lost;
}

/* Reports lost lines. Returns how many remain to be reported. */
static uint64_t report_lost(uint64_t lost)
{
    struct strbuf line = {0};
    uint64_t left;

    if (lost == 0)
        return 0;
    writer.report(lost, &line);
    left = write_lines(strbuf_text(&line), line.len) ? lost : 0;
    strbuf_free(&line);
    return left;
}

static void wait_for_work(void)
{
    struct timespec until;

    if (writer.lost == 0) {
        pthread_cond_wait(&writer.work, &writer.lock);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += RETRY_SECONDS;
    if (pthread_cond_timedwait(&writer.work, &writer.lock, &until) == ETIMEDOUT)
        writer.busy = true;
}

static void swap_buffers(struct strbuf *a, struct strbuf *b)
{
    const struct strbuf c = *a;

    *a = *b;
    *b = c;
}

static void *run(void *arg)
{
    struct strbuf lines = {0};
    uint64_t lost, dropped;

    (void)arg;
    pthread_mutex_lock(&writer.lock);
    for (;;) {
        while (writer.queue.len == 0 && !writer.busy && !writer.stopping)
            wait_for_work();
        if (writer.queue.len == 0 && writer.stopping)
            break;
        writer.busy = true;
        swap_buffers(&writer.queue, &lines);
        dropped = writer.dropped;
        lost = writer.lost;
        writer.dropped = 0;
        pthread_mutex_unlock(&writer.lock);

        lost = report_lost(lost);
        lost += write_lines(strbuf_text(&lines), lines.len) + dropped;
        lost = report_lost(lost);
        strbuf_clear(&lines);
        if (lines.size > BUFFER_KEPT)
            strbuf_free(&lines);

        pthread_mutex_lock(&writer.lock);
        writer.busy = false;
        writer.lost = lost;
        if (writer.queue.len == 0)
            pthread_cond_broadcast(&writer.idle);
    }
    pthread_mutex_unlock(&writer.lock);
    strbuf_free(&lines);
    return NULL;
}

void logwriter_open(void)
{
    struct stat st;

    if (fstat(STDERR_FILENO, &st) != 0)
        return;
    if (S_ISSOCK(st.st_mode)) {
        writer.is_socket = true;
        writer.never_blocks = true;
    } else if (S_ISFIFO(st.st_mode)) {
        writer.chunk = PIPE_BUF;
        writer.fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
        writer.never_blocks = writer.fd >= 0;
        if (writer.fd < 0)
            writer.fd = STDERR_FILENO;
    }
}

static void close_output(void)
{
    if (writer.fd != STDERR_FILENO)
        close(writer.fd);
    writer.fd = STDERR_FILENO;
    writer.never_blocks = false;
    writer.is_socket = false;
    writer.chunk = FILE_CHUNK;
}

int logwriter_start(logwriter_report *report)
{
    int error;

    pthread_mutex_lock(&writer.lock);
    writer.report = report;
    writer.stopping = false;
    writer.torn = false;
    writer.dropped = 0;
    writer.lost = 0;
    error = bgthread_start(&writer.thread, "log", run, NULL);
    writer.running = error == 0;
    if (error)
        close_output();
    pthread_mutex_unlock(&writer.lock);
    return error;
}

/*
 * Writes at once what there is room for, if the order stays. Returns the number of bytes written.
 */
static size_t write_now(const char *line, size_t len)
{
    ssize_t n;

    if (!writer.never_blocks || writer.busy || writer.queue.len > 0 || writer.lost > 0
        || writer.torn)
        return 0;
    n = write_some(line, len);
    return n > 0 ? (size_t)n : 0;
}

static void enqueue(const char *line, size_t len)
{
    if (writer.dropped > 0 || writer.stopping || writer.queue.len + len > QUEUE_MAX) {
        writer.dropped++;
        return;
    }
    if (writer.queue.len == 0 && !writer.busy)
        pthread_cond_signal(&writer.work);
    strbuf_add_bytes(&writer.queue, line, len);
}

void logwriter_write(const char *line, size_t len)
{
    size_t done;

    pthread_mutex_lock(&writer.lock);
    if (!writer.running) {
        (void)write_all(line, len);
    } else {
        done = write_now(line, len);
        if (done < len)
            enqueue(line + done, len - done);
    }
    pthread_mutex_unlock(&writer.lock);
}

bool logwriter_flush(int ms)
{
    struct timespec until;
    int error = 0;
    bool done;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&writer.lock);
    while (writer.running && (writer.busy || writer.queue.len > 0) && error == 0)
        error = pthread_cond_timedwait(&writer.idle, &writer.lock, &until);
    done = !writer.running || (!writer.busy && writer.queue.len == 0);
    pthread_mutex_unlock(&writer.lock);
    return done;
}

void logwriter_stop(void)
{
    bool stuck;

    pthread_mutex_lock(&writer.lock);
    if (!writer.running || writer.stopping) {
        pthread_mutex_unlock(&writer.lock);
        return;
    }
    writer.stopping = true;
    stuck = writer.busy || writer.queue.len > 0;
    pthread_cond_signal(&writer.work);
    pthread_mutex_unlock(&writer.lock);
    if (stuck) {
        pthread_detach(writer.thread);
        return;
    }
    pthread_join(writer.thread, NULL);
    pthread_mutex_lock(&writer.lock);
    writer.running = false;
    close_output();
    strbuf_free(&writer.queue);
    pthread_mutex_unlock(&writer.lock);
}
