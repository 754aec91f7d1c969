/*
 * The transport over a program: its standard input and output are the connection.
 *
 * Both sides can finish sending: the program reads an end of file, and may close its standard output.
 * There is no reset. Instead, a program that exits with another status than 0, or is killed by a
 * signal, has broken the stream, and a client's reset kills the program before it can read an end.
 *
 * The program ends with the tunnel. After an end in order it has a second to finish by itself. Then
 * its process group gets SIGTERM, and SIGKILL two seconds later. It is an attachment of the stream,
 * and outlives it until it has exited.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sock.h"
#include "base/strbuf.h"
#include "base/util.h"
#include "config/section.h"
#include "net/child.h"
#include "net/transport.h"

/* How long an end of the stream waits for the program's exit, which explains it. */
#define EXIT_WAIT_MS 250

/* After an end in order: how long the program may take to finish. */
#define FINISH_MS 1000

/* Between SIGTERM and SIGKILL. */
#define KILL_MS 2000

/* A longer line of standard error is cut. */
#define LINE_SIZE 1000

enum exec_state {
    EXEC_SPAWNING,
    EXEC_RUNNING,
    EXEC_FINISHING, /* the stream is closed */
    EXEC_TERMINATING,
    EXEC_KILLING,
    EXEC_CLOSING, /* it has exited, and the handles are being closed */
};

struct exec {
    struct transport transport;
    struct attachment attachment;
    enum exec_state state;
    char *section; /* its name, for the log */
    char **argv;
    int error; /* errno of the spawn */

    uv_loop_t *loop;
    uv_work_t work;
    struct child child;
    uv_poll_t exit;
    uv_poll_t messages; /* its standard error */
    uv_timer_t timer;
    int holds; /* handles not yet closed */

    bool is_awaited; /* has_ended() has returned false, and ended() is due */
    bool has_exited;
    struct child_exit result;
    struct strbuf line; /* of its standard error, without its end */
    bool line_is_cut;
    char ending[CHILD_TEXT_SIZE + 16];
};

static struct exec *from_transport(struct transport *t)
{
    return container_of(t, struct exec, transport);
}

static struct exec *from_attachment(const struct attachment *a)
{
    return container_of((struct attachment *)a, struct exec, attachment);
}

static void exec_free(struct exec *x)
{
    strbuf_free(&x->line);
    free(x->argv);
    free(x->section);
    free(x);
}

/* Standard error. */

static void log_line(struct exec *x)
{
    struct log_line l;
    size_t i;

    for (i = 0; i < x->line.len; i++)
        if (!x->line.data[i])
            x->line.data[i] = ' '; /* would end the text */
    if (x->line.len > 0) {
        log_begin(&l, LOG_LEVEL_WARNING, "exec_stderr", x->section);
        log_add(&l, "program", x->argv[0]);
        log_add_number(&l, "pid", x->child.pid);
        log_addf(&l, "line", "%s%s", strbuf_text(&x->line), x->line_is_cut ? "..." : "");
        log_end(&l);
    }
    strbuf_free(&x->line); /* most programs write nothing more */
    x->line_is_cut = false;
}

static void add_message(struct exec *x, const char *bytes, size_t n)
{
    const char *end = bytes + n, *next;
    size_t len, room;

    for (; bytes < end; bytes = next) {
        next = memchr(bytes, '\n', (size_t)(end - bytes));
        len = (size_t)((next ? next : end) - bytes);
        room = LINE_SIZE - x->line.len;
        x->line_is_cut |= len > room;
        strbuf_add_bytes(&x->line, bytes, len < room ? len : room);
        if (next)
            log_line(x);
        next = next ? next + 1 : end;
    }
}

/* Reads once. Returns false if there is nothing to read for now, or ever. */
static bool read_messages(struct exec *x)
{
    char bytes[4096];
    const ssize_t n = read(x->child.error, bytes, sizeof(bytes));

    if (n > 0)
        add_message(x, bytes, (size_t)n);
    else if (n == 0)
        uv_poll_stop(&x->messages);
    return n > 0;
}

static void on_messages(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    (void)read_messages(poll->data);
}

/* Reads what is left when the program has exited, at most as much as a pipe holds (pipe(7)). */
static void read_last_messages(struct exec *x)
{
    int i;

    for (i = 0; i < 16 && read_messages(x); i++)
        ;
    log_line(x);
}

/* The end. */

static void log_exit(const struct exec *x)
{
    const bool was_killed = !x->result.exited && x->state >= EXEC_TERMINATING;
    const bool is_fine = was_killed || (x->result.exited && x->result.status == 0);
    struct log_line l;

    log_begin(&l, is_fine ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, "exec_exit", x->section);
    log_add(&l, "program", x->argv[0]);
    log_add_number(&l, "pid", x->child.pid);
    log_add_number(&l, x->result.exited ? "status" : "signal", x->result.status);
    log_add(&l, "detail", x->ending);
    log_end(&l);
}

static void on_closed(uv_handle_t *handle)
{
    struct exec *x = handle->data;

    if (--x->holds == 0)
        exec_free(x);
}

/* The program has exited, and the stream is closed. */
static void exec_finish(struct exec *x)
{
    read_last_messages(x);
    child_reap(&x->child);
    log_exit(x);
    x->state = EXEC_CLOSING;
    uv_close((uv_handle_t *)&x->exit, on_closed);
    uv_close((uv_handle_t *)&x->messages, on_closed);
    uv_close((uv_handle_t *)&x->timer, on_closed);
    close(x->child.pidfd);
    close(x->child.error);
}

static void note_exit(struct exec *x)
{
    char text[CHILD_TEXT_SIZE];

    if (x->has_exited || !child_has_exited(&x->child, &x->result))
        return;
    x->has_exited = true;
    uv_poll_stop(&x->exit);
    snprintf(x->ending, sizeof(x->ending), "the program %s", child_describe(&x->result, text));
}

static void report_end(struct exec *x)
{
    if (!x->is_awaited)
        return;
    x->is_awaited = false;
    uv_timer_stop(&x->timer);
    x->attachment.ended(&x->attachment, x->attachment.owner);
}

static void on_exit_event(uv_poll_t *poll, int status, int events)
{
    struct exec *x = poll->data;

    (void)status;
    (void)events;
    note_exit(x);
    if (!x->has_exited)
        return;
    if (x->state == EXEC_RUNNING)
        report_end(x);
    else
        exec_finish(x);
}

static void on_timer(uv_timer_t *timer);

static void terminate(struct exec *x)
{
    x->state = EXEC_TERMINATING;
    child_kill(&x->child, SIGTERM);
    uv_timer_start(&x->timer, on_timer, KILL_MS, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct exec *x = timer->data;

    switch (x->state) {
    case EXEC_RUNNING:
        report_end(x); /* it has closed its standard output, and still runs */
        break;
    case EXEC_FINISHING:
        terminate(x);
        break;
    case EXEC_TERMINATING:
        x->state = EXEC_KILLING;
        child_kill(&x->child, SIGKILL);
        break;
    case EXEC_SPAWNING:
    case EXEC_KILLING:
    case EXEC_CLOSING:
        break;
    }
}

/* The attachment. */

static bool has_ended(struct attachment *a)
{
    struct exec *x = from_attachment(a);

    note_exit(x);
    x->is_awaited = !x->has_exited;
    if (x->is_awaited)
        uv_timer_start(&x->timer, on_timer, EXIT_WAIT_MS, 0);
    return x->has_exited;
}

static const char *ending(const struct attachment *a)
{
    return from_attachment(a)->ending;
}

static bool has_failed(const struct attachment *a)
{
    const struct exec *x = from_attachment(a);

    return x->has_exited && !(x->result.exited && x->result.status == 0);
}

static void release(struct attachment *a, bool reset)
{
    struct exec *x = from_attachment(a);

    x->is_awaited = false;
    x->state = EXEC_FINISHING;
    note_exit(x);
    if (x->has_exited)
        exec_finish(x);
    else if (reset)
        terminate(x);
    else
        uv_timer_start(&x->timer, on_timer, FINISH_MS, 0);
}

static const struct attachment_ops attachment_ops = {has_ended, ending, has_failed, release};

/* The start. */

static struct transport_owner *take_owner(struct exec *x)
{
    struct transport_owner *owner = x->transport.owner;

    x->transport.owner = NULL;
    return owner;
}

static void exec_fail(struct exec *x, int error)
{
    struct transport_owner *owner = take_owner(x);
    enum reason reason = sock_error_is_shortage(error) ? REASON_FILES : REASON_CONNECT;
    const char *why = strerror(error);
    char detail[512];

    if (error == EAGAIN) { /* fork(2), execve(2) */
        reason = REASON_PROCESSES;
        why = "no more processes are permitted (LimitNPROC=, TasksMax=)";
    }
    snprintf(detail, sizeof(detail), "%s: %s", x->argv[0], why);
    if (owner)
        owner->failed(owner, reason, detail);
}

static void exec_run(struct exec *x)
{
    x->state = EXEC_RUNNING;
    x->holds = 3;
    (void)uv_timer_init(x->loop, &x->timer); /* cannot fail */
    /* neither can fail: the kernel can poll both */
    (void)uv_poll_init(x->loop, &x->exit, x->child.pidfd);
    (void)uv_poll_init(x->loop, &x->messages, x->child.error);
    x->timer.data = x->exit.data = x->messages.data = x;
    uv_poll_start(&x->exit, UV_READABLE, on_exit_event);
    uv_poll_start(&x->messages, UV_READABLE, on_messages);
}

/* In a thread of libuv: a program may be on a disk that is slow. */
static void on_work(uv_work_t *work)
{
    struct exec *x = container_of(work, struct exec, work);

    x->error = child_spawn(&x->child, x->argv);
}

static void on_spawned(uv_work_t *work, int status)
{
    struct exec *x = container_of(work, struct exec, work);
    struct transport_owner *owner;
    struct stream stream;

    if (status || x->error) {
        exec_fail(x, status ? -status : x->error);
        exec_free(x);
        return;
    }
    exec_run(x);
    stream = (struct stream){
        .fd = x->child.io, .kind = STREAM_SOCKET, .attachment = &x->attachment};
    owner = take_owner(x);
    if (owner) {
        owner->connected(owner, &stream);
        return;
    }
    close(x->child.io);
    release(&x->attachment, true);
}

/* Returns a copy of a list of words, in one block of memory, or NULL. */
static char **copy_words(const char *const *words)
{
    size_t count = 0, size = 0, i;
    char **copy, *text;

    for (; words[count]; count++)
        size += strlen(words[count]) + 1;
    copy = malloc((count + 1) * sizeof(*copy) + size);
    if (!copy)
        return NULL;
    text = (char *)(copy + count + 1);
    for (i = 0; i < count; i++) {
        copy[i] = text;
        text = stpcpy(text, words[i]) + 1;
    }
    copy[count] = NULL;
    return copy;
}

static struct transport *start(uv_loop_t *loop, struct resolver *resolver,
                               const struct config_section *section, struct transport_owner *owner)
{
    struct exec *x = calloc(1, sizeof(*x));

    (void)resolver;
    if (!x)
        return NULL;
    x->transport = (struct transport){.ops = &transport_exec, .owner = owner};
    x->attachment.ops = &attachment_ops;
    x->loop = loop;
    x->section = strdup(section->name);
    x->argv = copy_words(section->via.argv);
    if (x->section && x->argv && uv_queue_work(loop, &x->work, on_work, on_spawned) == 0)
        return &x->transport;
    exec_free(x);
    return NULL;
}

/* The program is the same: `via` selects the server. */
static void set_section(struct transport *t, const struct config_section *section)
{
    (void)t;
    (void)section;
}

static void cancel(struct transport *t)
{
    struct exec *x = from_transport(t);

    (void)take_owner(x);
    (void)uv_cancel((uv_req_t *)&x->work); /* if it fails, the program is started and killed */
}

const struct transport_ops transport_exec = {start, set_section, cancel};
