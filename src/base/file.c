#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *read_all(int fd, size_t max, char **data, size_t *len)
{
    char *buf = NULL;
    size_t used = 0, size = 0;
    ssize_t n;

    for (;;) {
        if (size - used < 2) {
            size = size ? size * 2 : 4096;
            buf = xrealloc(buf, size);
        }
        n = read(fd, buf + used, size - used - 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        used += (size_t)n;
        if (used > max) {
            free(buf);
            return "is too large";
        }
    }
    if (n < 0) {
        free(buf);
        return strerror(errno);
    }
    buf[used] = '\0';
    *data = buf;
    *len = used;
    return NULL;
}

/* Checks that a configuration may name a file of this mode. Returns NULL, or what is wrong. */
static const char *check_kind(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return NULL;
    case S_IFDIR:
        return strerror(EISDIR);
    case S_IFIFO:
        return "is a pipe: a regular file is needed, which a reload can read again";
    case S_IFSOCK:
        return "is a socket: a regular file is needed";
    default:
        return "is a device: a regular file is needed";
    }
}

/*
 * Opens a regular file without waiting. To open a device may have effects, so the kind of the file
 * is checked first. It is checked again after open(2), because another file may have taken its
 * place.
 */
static const char *open_regular(const char *path, int *fd)
{
    const char *why;
    struct stat st;

    if (stat(path, &st) != 0)
        return strerror(errno);
    why = check_kind(st.st_mode);
    if (why)
        return why;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0)
        return strerror(errno);
    why = fstat(*fd, &st) == 0 ? check_kind(st.st_mode) : strerror(errno);
    if (why)
        close(*fd);
    return why;
}

static const char *open_argument(const char *path, int *fd)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    return *fd < 0 ? strerror(errno) : NULL;
}

const char *file_read(const char *path, enum file_origin origin, size_t max, char **data,
                      size_t *len)
{
    const char *why;
    int fd = -1;

    if (origin == FILE_ARGUMENT && strcmp(path, "-") == 0)
        return read_all(STDIN_FILENO, max, data, len);
    why = origin == FILE_ARGUMENT ? open_argument(path, &fd) : open_regular(path, &fd);
    if (why)
        return why;
    why = read_all(fd, max, data, len);
    close(fd);
    return why;
}

bool file_open_standard(void)
{
    int fd;

    for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        /* open(2) takes the lowest descriptor that is free, which is this one */
        if (open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_RDWR) != fd)
            return false;
    }
    return true;
}

const char *file_resolve(struct arena *a, const char *dir, const char *path)
{
    if (!dir || path[0] == '/')
        return arena_strdup(a, path);
    return arena_printf(a, "%s/%s", dir, path);
}

const char *file_directory(struct arena *a, const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return ".";
    if (slash == path)
        return "/";
    return arena_strndup(a, path, (size_t)(slash - path));
}

/* Waits until a descriptor that is non-blocking and full takes bytes again. */
static bool wait_writable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    return poll(&p, 1, -1) >= 0 || errno == EINTR;
}

bool file_write_all(int fd, const void *bytes, size_t n)
{
    const char *at = bytes;

    while (n > 0) {
        ssize_t done = write(fd, at, n);

        if (done < 0 && (errno == EINTR || (errno == EAGAIN && wait_writable(fd))))
            continue;
        if (done <= 0)
            return false;
        at += done;
        n -= (size_t)done;
    }
    return true;
}

bool file_give_to_owner(int dir, int fd)
{
    struct stat owner, st;

    if (geteuid() != 0)
        return true;
    if (fstat(dir, &owner) != 0 || fstat(fd, &st) != 0)
        return false;
    if (st.st_uid == owner.st_uid && st.st_gid == owner.st_gid)
        return true;
    if (st.st_nlink > 1) {
        errno = EMLINK;
        return false;
    }
    return fchown(fd, owner.st_uid, owner.st_gid) == 0;
}

bool file_replace(int dir, const char *name, const void *bytes, size_t n, struct stat *identity)
{
    char temporary[NAME_MAX + 1];
    struct stat st;
    int fd, error;
    bool ok;

    if (snprintf(temporary, sizeof(temporary), "%s.new", name) >= (int)sizeof(temporary)) {
        errno = ENAMETOOLONG;
        return false;
    }
    if (unlinkat(dir, temporary, 0) != 0 && errno != ENOENT)
        return false;
    fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    ok = file_give_to_owner(dir, fd) && file_write_all(fd, bytes, n) && fsync(fd) == 0
         && renameat(dir, temporary, dir, name) == 0
         && fsync(dir) == 0
         /* by descriptor: the path may lead to another file by now */
         && fstat(fd, &st) == 0;
    error = errno;
    if (!ok)
        (void)unlinkat(dir, temporary, 0);
    close(fd); /* after fsync() it has no error left to report */
    errno = error;
    if (ok)
        *identity = st;
    return ok;
}
