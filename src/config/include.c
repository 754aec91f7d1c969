#include "config/include.h"

#include <errno.h>
#include <glob.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static const char includes_itself[] = "%s: the file includes itself: name other files";

/* A directory that does not exist matches no file. One that cannot be read is an error. */
static int on_glob_error(const char *path, int error)
{
    (void)path;
    return error != ENOENT && error != ENOTDIR;
}

/* Returns a pattern that matches only this directory. */
static const char *escape(struct arena *arena, const char *dir)
{
    char *out = arena_alloc(arena, 2 * strlen(dir) + 1), *p = out;

    for (; *dir; dir++) {
        if (strchr("*?[\\", *dir))
            *p++ = '\\';
        *p++ = *dir;
    }
    return out;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* A link with another name is found in another way: its sections are defined twice, an error. */
static bool is_same_file(const char *a, const char *b)
{
    struct stat x, y;

    return strcmp(last_part(a), last_part(b)) == 0 && stat(a, &x) == 0 && stat(b, &y) == 0
           && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

const char *include_find(struct arena *arena, const char *from, const char *value,
                         struct include_files *files)
{
    const char *dir = file_directory(arena, from), *path = file_resolve(arena, dir, value);
    struct include_files found = {0};
    int failed = 0;
    glob_t g;
    size_t i;

    if (!strpbrk(value, "*?[")) {
        if (access(path, F_OK) != 0)
            return arena_printf(arena, "%s: no such file", path);
        if (is_same_file(path, from))
            return arena_printf(arena, includes_itself, path);
        found.paths = arena_grow(arena, NULL, 0, sizeof(*found.paths));
        found.paths[found.count++] = path;
        *files = found;
        return NULL;
    }
    failed = glob(file_resolve(arena, escape(arena, dir), value), 0, on_glob_error, &g);
    for (i = 0; failed == 0 && i < g.gl_pathc; i++) {
        found.paths = arena_grow(arena, found.paths, found.count, sizeof(*found.paths));
        found.paths[found.count++] = arena_strdup(arena, g.gl_pathv[i]);
    }
    globfree(&g);
    for (i = 0; i < found.count; i++)
        if (is_same_file(found.paths[i], from))
            return arena_printf(arena, includes_itself, found.paths[i]);
    if (failed && failed != GLOB_NOMATCH)
        return arena_printf(arena, "%s: the directory cannot be read", path);
    if (found.count == 0 && strpbrk(value, " \t,"))
        return arena_printf(
            arena,
            "%s: no file matches: write one pattern on a line, without blanks and commas, and "
            "more patterns on indented lines below",
            path);
    *files = found;
    return NULL;
}
