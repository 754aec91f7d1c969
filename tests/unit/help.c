#include "help.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

static char directory[64];
static pid_t owner;
static struct arena paths;
static int saved_stderr = -1;
static FILE *captured;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void remove_all(void)
{
    if (getpid() == owner)
        nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    arena_free(&paths);
}

const char *temp_dir(void)
{
    if (!directory[0]) {
        strcpy(directory, "/tmp/pinproxy-unit.XXXXXX");
        if (!mkdtemp(directory))
            fail_msg("%s: %s", directory, strerror(errno));
        owner = getpid();
        atexit(remove_all);
    }
    return directory;
}

const char *temp_path(const char *format, ...)
{
    char *name;
    const char *path;
    va_list ap;

    temp_dir();
    va_start(ap, format);
    if (vasprintf(&name, format, ap) < 0)
        abort();
    va_end(ap);
    path = arena_printf(&paths, "%s/%s", directory, name);
    free(name);
    return path;
}

const char *temp_file(const char *name, const void *bytes, size_t n)
{
    const char *path = temp_path("%s", name);
    char *copy = xstrdup(path), *slash;
    FILE *file;
    bool ok;

    for (slash = strchr(copy + strlen(directory) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(copy, 0700);
        *slash = '/';
    }
    free(copy);
    file = fopen(path, "wb");
    ok = file && fwrite(bytes, 1, n, file) == n;
    ok = file && fclose(file) == 0 && ok;
    if (!ok)
        fail_msg("%s: %s", path, strerror(errno));
    return path;
}

const char *temp_text(const char *name, const char *text)
{
    return temp_file(name, text, strlen(text));
}

void capture_start(void)
{
    fflush(stderr);
    captured = tmpfile();
    saved_stderr = dup(STDERR_FILENO);
    if (!captured || saved_stderr < 0 || dup2(fileno(captured), STDERR_FILENO) < 0)
        abort();
}

char *capture_end(void)
{
    long n;
    char *text;

    fflush(stderr);
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    fseek(captured, 0, SEEK_END);
    n = ftell(captured);
    text = xcalloc((size_t)n + 1, 1);
    rewind(captured);
    if (fread(text, 1, (size_t)n, captured) != (size_t)n)
        abort();
    fclose(captured);
    return text;
}

void assert_contains(const char *text, const char *part)
{
    if (!text || !strstr(text, part))
        fail_msg("\"%s\" does not contain \"%s\"", text ? text : "(nothing)", part);
}

void assert_between(uintmax_t value, uintmax_t least, uintmax_t most)
{
    if (value < least || value > most)
        fail_msg("%ju is not between %ju and %ju", value, least, most);
}

bool under_valgrind(void)
{
    const char *preloaded = getenv("LD_PRELOAD");

    return preloaded && strstr(preloaded, "vgpreload");
}

uint32_t random_next(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}
