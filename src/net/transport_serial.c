/*
 * The transport over a serial line, or any other terminal device (termios(3)).
 *
 * A line has no end of its own: close_notify is the only one, in either direction. There is no reset
 * and no truncation but a hang-up, which ends the tunnel as a server's reset does. A byte that is
 * lost on the line is an error of TLS.
 *
 * One tunnel has the device at a time (flock(2) and TIOCEXCL); others wait, until their
 * connect_timeout. The lock is an attachment of the stream, which keeps the device open until the
 * last bytes are sent.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/baud.h"
#include "base/sock.h"
#include "base/util.h"
#include "config/section.h"
#include "net/transport.h"

/* How soon a device is tried again that is in use. */
#define RETRY_MS 50

/* How often it is checked whether the line has sent everything, and for how long. */
#define DRAIN_POLL_MS 20
#define DRAIN_MS 5000

struct serial {
    struct transport transport;
    struct attachment attachment;
    uv_loop_t *loop;
    char *path;
    speed_t speed;

    uv_work_t work;
    uv_timer_t timer;
    int lock; /* the device, open as long as it is ours; -1: it is not */
    int fd;   /* the same for the stream, before it is handed over */
    int error;
    const char *step; /* what has failed, if it is not to open the device */
    uint64_t drain_until;
};

static struct serial *from_transport(struct transport *t)
{
    return container_of(t, struct serial, transport);
}

static struct serial *from_attachment(const struct attachment *a)
{
    return container_of((struct attachment *)a, struct serial, attachment);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct serial *s = handle->data;

    free(s->path);
    free(s);
}

static void serial_free(struct serial *s)
{
    uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}

static void start_work(struct serial *s, uv_work_cb work, uv_after_work_cb done)
{
    (void)uv_queue_work(s->loop, &s->work, work, done); /* cannot fail */
}

/* The device. These run in a thread of libuv, because a driver may wait for its device. */

/* 8 data bits, no parity, one stop bit, no flow control; every byte as it comes. */
static int set_raw(int fd, speed_t speed)
{
    struct termios t;

    if (tcgetattr(fd, &t) != 0)
        return errno;
    cfmakeraw(&t);
    t.c_cflag &= ~(tcflag_t)(CSTOPB | CRTSCTS);
    t.c_cflag |= CREAD | CLOCAL | HUPCL;
    t.c_cc[VMIN] = 1; /* with 0, a read without bytes would look like a hang-up */
    t.c_cc[VTIME] = 0;
    if (cfsetispeed(&t, speed) != 0 || cfsetospeed(&t, speed) != 0
        || tcsetattr(fd, TCSANOW, &t) != 0)
        return errno;
    /* what an earlier tunnel or another program has left */
    return tcflush(fd, TCIOFLUSH) == 0 ? 0 : errno;
}

/* Returns 0, or an errno value with *step set and the device free for others. */
static int claim(int fd, speed_t speed, const char **step)
{
    int error;

    if (!isatty(fd)) {
        *step = "it is no terminal device";
        return errno;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        *step = "it cannot be locked";
        return errno;
    }
    (void)ioctl(fd, TIOCEXCL);
    error = set_raw(fd, speed);
    if (error) {
        (void)ioctl(fd, TIOCNXCL); /* some devices remember it */
        *step = "its settings cannot be changed";
    }
    return error;
}

static void unclaim(int fd)
{
    (void)ioctl(fd, TIOCNXCL);
    close(fd);
}

static void on_open(uv_work_t *work)
{
    struct serial *s = container_of(work, struct serial, work);

    s->step = NULL;
    s->lock = open(s->path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    /* before the claim, so that nothing fails while the device is claimed */
    s->fd = s->lock < 0 ? -1 : fcntl(s->lock, F_DUPFD_CLOEXEC, 0);
    s->error = s->fd < 0 ? errno : claim(s->lock, s->speed, &s->step);
    if (!s->error)
        return;
    if (s->fd >= 0)
        close(s->fd);
    if (s->lock >= 0)
        close(s->lock);
    s->lock = s->fd = -1;
}

static void on_close(uv_work_t *work)
{
    struct serial *s = container_of(work, struct serial, work);

    unclaim(s->lock);
}

/* The attachment. */

static void on_device_closed(uv_work_t *work, int status)
{
    (void)status;
    serial_free(container_of(work, struct serial, work));
}

static void give_up_device(struct serial *s, bool discard)
{
    uv_timer_stop(&s->timer);
    if (discard)
        (void)tcflush(s->lock, TCOFLUSH); /* close(2) would wait for what is not sent */
    start_work(s, on_close, on_device_closed);
}

static void on_drain(uv_timer_t *timer)
{
    struct serial *s = timer->data;

    const bool is_sent = sock_unsent(s->lock) == 0;

    if (is_sent || uv_now(s->loop) >= s->drain_until)
        give_up_device(s, !is_sent);
}

static void release(struct attachment *a, bool reset)
{
    struct serial *s = from_attachment(a);

    if (reset) {
        give_up_device(s, true);
        return;
    }
    s->drain_until = uv_now(s->loop) + DRAIN_MS;
    uv_timer_start(&s->timer, on_drain, 0, DRAIN_POLL_MS);
}

static bool has_ended(struct attachment *a)
{
    (void)a;
    return true;
}

static const char *ending(const struct attachment *a)
{
    (void)a;
    return "";
}

static bool has_failed(const struct attachment *a)
{
    (void)a;
    return false;
}

static const struct attachment_ops attachment_ops = {has_ended, ending, has_failed, release};

/* The transport. */

static struct transport_owner *take_owner(struct serial *s)
{
    struct transport_owner *owner = s->transport.owner;

    s->transport.owner = NULL;
    return owner;
}

static void serial_fail(struct serial *s)
{
    struct transport_owner *owner = take_owner(s);
    char detail[512];

    snprintf(detail, sizeof(detail), "%s: %s%s%s", s->path, s->step ? s->step : "",
             s->step ? ": " : "", strerror(s->error));
    serial_free(s);
    owner->failed(owner, sock_error_is_shortage(s->error) ? REASON_FILES : REASON_CONNECT, detail);
}

static void on_opened(uv_work_t *work, int status);

static void on_retry(uv_timer_t *timer)
{
    start_work(timer->data, on_open, on_opened);
}

static void hand_over(struct serial *s)
{
    const struct stream stream = {
        .fd = s->fd, .kind = STREAM_TERMINAL, .attachment = &s->attachment};
    struct transport_owner *owner = take_owner(s);

    owner->connected(owner, &stream);
}

static void on_opened(uv_work_t *work, int status)
{
    struct serial *s = container_of(work, struct serial, work);
    const bool is_open = !status && !s->error;

    if (!s->transport.owner) {
        if (is_open) {
            close(s->fd);
            give_up_device(s, true);
        } else {
            serial_free(s);
        }
    } else if (is_open) {
        hand_over(s);
    } else if (s->error == EWOULDBLOCK || s->error == EBUSY) {
        s->transport.obstacle = "the device is in use by another tunnel or program";
        uv_timer_start(&s->timer, on_retry, RETRY_MS, 0);
    } else {
        serial_fail(s);
    }
}

static struct transport *start(uv_loop_t *loop, struct resolver *resolver,
                               const struct config_section *section, struct transport_owner *owner)
{
    struct serial *s = calloc(1, sizeof(*s));

    (void)resolver;
    if (!s || !(s->path = strdup(section->via.path))) {
        free(s);
        return NULL;
    }
    s->transport = (struct transport){.ops = &transport_serial, .owner = owner};
    s->attachment.ops = &attachment_ops;
    s->loop = loop;
    s->lock = s->fd = -1;
    s->speed = B115200;
    (void)baud_find(section->via.baud, &s->speed); /* the configuration has checked it */
    (void)uv_timer_init(loop, &s->timer);          /* cannot fail */
    s->timer.data = s;
    start_work(s, on_open, on_opened);
    return &s->transport;
}

/* The device is the same: `via` selects the server. */
static void set_section(struct transport *t, const struct config_section *section)
{
    (void)t;
    (void)section;
}

static void cancel(struct transport *t)
{
    struct serial *s = from_transport(t);

    (void)take_owner(s);
    if (uv_is_active((uv_handle_t *)&s->timer))
        serial_free(s); /* it was going to try again */
    else
        (void)uv_cancel((uv_req_t *)&s->work); /* on_opened() frees it in any case */
}

const struct transport_ops transport_serial = {start, set_section, cancel};
