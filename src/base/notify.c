#include "base/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

/*
 * The maximum number of messages that wait for notify_retry().
 */
#define PENDING_MAX 8

static char *pending[PENDING_MAX];
static size_t pending_count;

/* Returns false if the manager's socket has no room now. */
static bool send_now(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    bool sent;
    int fd;

    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof(to.sun_path))
        return true;
    memcpy(to.sun_path, path, strlen(path));
    if (path[0] == '@') /* an abstract socket: unix(7) */
        to.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    sent = sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&to,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)))
               >= 0
           || (errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS && errno != ENOMEM);
    close(fd);
    return sent;
}

static void drop_oldest(void)
{
    free(pending[0]);
    pending_count--;
    memmove(pending, pending + 1, pending_count * sizeof(pending[0]));
}

void notify_retry(void)
{
    while (pending_count > 0 && send_now(pending[0]))
        drop_oldest();
}

void notify_send(const char *format, ...)
{
    char text[512];
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof(text))
        return;
    notify_retry(); /* earlier messages go first */
    if (pending_count == 0 && send_now(text))
        return;
    if (pending_count == PENDING_MAX)
        drop_oldest();
    pending[pending_count++] = xstrdup(text);
}

void notify_ready(const char *status)
{
    notify_send("READY=1\nSTATUS=%s", status);
}

void notify_reloading(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    notify_send("RELOADING=1\nMONOTONIC_USEC=%lld",
                (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

void notify_stopping(const char *status)
{
    notify_send("STOPPING=1\nSTATUS=%s", status);
}
