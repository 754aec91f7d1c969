#include "base/safepath.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#define LINKS_MAX 40 /* the kernel's own limit: path_resolution(7) */

bool safepath_is_trusted(uid_t uid, uid_t user)
{
    return uid == 0 || uid == geteuid() || uid == user;
}

static char *check_component(const char *path, const struct stat *st, uid_t user)
{
    const bool sticky = S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX);

    if (!safepath_is_trusted(st->st_uid, user))
        return xasprintf("%s belongs to another user (uid %u)", path, (unsigned)st->st_uid);
    if (!S_ISLNK(st->st_mode) && (st->st_mode & (S_IWGRP | S_IWOTH)) && !sticky)
        return xasprintf("other users can write to %s (mode %04o)", path,
                         (unsigned)st->st_mode & 07777);
    return NULL;
}

/* Removes the first component from a path. Returns it, or "" at the end. */
static const char *take_component(char *path, char name[PATH_MAX])
{
    const char *start = path + strspn(path, "/");
    const size_t n = strcspn(start, "/");

    snprintf(name, PATH_MAX, "%.*s", (int)n, start);
    memmove(path, start + n, strlen(start + n) + 1);
    return name;
}

/* Puts the target of a link before the rest of the path. Returns false with errno. */
static bool follow_link(const char *link, char *rest)
{
    char after[PATH_MAX];
    ssize_t n;

    memcpy(after, rest, PATH_MAX);
    n = readlink(link, rest, PATH_MAX);
    if (n < 0)
        return false;
    if ((size_t)n + strlen(after) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(rest + n, after, strlen(after) + 1);
    return true;
}

/*
 * Checks one component after the other. `done` has neither links nor "..", and nobody else can
 * change what it names, so the result of each check remains true.
 */
static char *walk(char *rest, uid_t user)
{
    char done[2 * PATH_MAX] = "", name[PATH_MAX];
    size_t used = 0;
    int links = 0;
    struct stat st;
    char *why = lstat("/", &st) == 0 ? check_component("/", &st, user) : NULL;

    while (!why && *take_component(rest, name)) {
        if (strcmp(name, ".") == 0)
            continue;
        if (strcmp(name, "..") == 0) {
            used = strrchr(done, '/') ? (size_t)(strrchr(done, '/') - done) : 0;
            done[used] = '\0';
            continue;
        }
        snprintf(done + used, sizeof(done) - used, "/%s", name);
        if (lstat(done, &st) != 0)
            return xasprintf("%s: %s", done, strerror(errno));
        why = check_component(done, &st, user);
        if (!S_ISLNK(st.st_mode)) {
            used = strlen(done);
            continue;
        }
        if (++links > LINKS_MAX || !follow_link(done, rest))
            return xasprintf("%s: %s", done, strerror(links > LINKS_MAX ? ELOOP : errno));
        used = *rest == '/' ? 0 : used;
        done[used] = '\0';
    }
    return why;
}

char *safepath_check(const char *path, uid_t user)
{
    char rest[PATH_MAX], cwd[PATH_MAX] = "";

    if (path[0] != '/' && !getcwd(cwd, sizeof(cwd)))
        return xasprintf("the working directory: %s", strerror(errno));
    if ((size_t)snprintf(rest, sizeof(rest), "%s/%s", cwd, path) >= sizeof(rest))
        return xstrdup(strerror(ENAMETOOLONG));
    return walk(rest, user);
}
