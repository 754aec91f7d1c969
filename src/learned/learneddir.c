#include "learned/learneddir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/safepath.h"
#include "base/util.h"

/*
 * Checks the last component of a path with one call of lstat(2): another process of ours may rename
 * or remove the file at any time.
 */
static char *check_last(const char *path, uid_t user)
{
    struct stat st;

    if (lstat(path, &st) != 0)
        return NULL;
    if (S_ISLNK(st.st_mode))
        return safepath_check(path, user);
    if (!safepath_is_trusted(st.st_uid, user))
        return xasprintf("it belongs to another user (uid %u)", (unsigned)st.st_uid);
    /*
     * in a directory with the sticky bit too: others could make the file before this process does
     */
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return xasprintf("other users can write to it (mode %04o)", (unsigned)st.st_mode & 07777);
    return NULL;
}

char *learneddir_check(const char *dir, uid_t user)
{
    static const char *const names[] = {"", "/learned", "/learned.lock", "/learned.new"};
    char *why, *path = NULL, *text;
    struct stat st;
    size_t i;

    if (stat(dir, &st) != 0) /* EACCES is reported when the file is read */
        return NULL;
    if (user == LEARNEDDIR_OWNER)
        user = st.st_uid;
    why = safepath_check(dir, user);
    if (!why && (st.st_mode & (S_IWGRP | S_IWOTH))) /* of the target, if it is a link */
        why = xasprintf("other users can write to it (mode %04o)", (unsigned)st.st_mode & 07777);
    for (i = 0; !why && i < COUNT_OF(names); i++) {
        free(path);
        path = xasprintf("%s%s", dir, names[i]);
        why = check_last(path, user);
    }
    text = why ? xasprintf(
               "%s: %s: it must belong to root or to the user that the daemon runs as, and "
               "nobody else may write to it (chown, chmod go-w)",
               path ? path : dir, why)
               : NULL;
    free(path);
    free(why);
    return text;
}

/* Checks that a missing directory could be made. Its parents are never made. */
static char *check_parent(const char *dir)
{
    struct arena arena = {0};
    const char *parent = file_directory(&arena, dir);
    struct stat st;
    char *why = NULL;

    /* systemd makes StateDirectory= before the daemon starts */
    if (strcmp(parent, PINPROXY_LOCALSTATEDIR "/lib/pinproxy") != 0 && stat(parent, &st) != 0)
        why = xasprintf("%s: %s: %s: create that directory first", dir, parent, strerror(errno));
    arena_free(&arena);
    return why;
}

char *learneddir_open(const char *dir, bool create, uid_t user)
{
    struct stat st;

    if (create && mkdir(dir, 0700) != 0 && errno != EEXIST)
        return xasprintf("%s: %s: create this directory, for the daemon to write to", dir,
                         strerror(errno));
    if (stat(dir, &st) != 0)
        return errno == ENOENT && !create ? check_parent(dir)
                                          : xasprintf("%s: %s", dir, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return xasprintf("%s: is not a directory", dir);
    if (access(dir, X_OK) != 0)
        return xasprintf("%s: %s", dir, strerror(errno));
    return learneddir_check(dir, user);
}

bool learneddir_is_denied(const char *dir)
{
    char *path = xasprintf("%s/learned", dir);
    const bool denied = faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) != 0 && errno == EACCES;

    free(path);
    return denied;
}
