#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *read_all(int fd, size_t most, char **data, size_t *len)
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
        if (used > most) {
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

const char *file_read(const char *path, size_t most, char **data, size_t *len)
{
    const char *why;
    int fd;

    if (strcmp(path, "-") == 0)
        return read_all(STDIN_FILENO, most, data, len);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return strerror(errno);
    why = read_all(fd, most, data, len);
    close(fd);
    return why;
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
