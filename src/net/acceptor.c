#include "net/acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/safepath.h"
#include "base/sock.h"

static bool is_unix(const struct acceptor *a)
{
    return a->addr.sa.sa_family == AF_UNIX;
}

/*
 * Opens the socket's own file, and no other that may be at its path by now. Returns a descriptor,
 * or -1 with errno: ENOENT, or EEXIST if another file is there.
 */
static int open_file(const struct acceptor *a)
{
    const int fd = open(a->addr.un.sun_path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    if (fd < 0
        || (fstat(fd, &st) == 0 && st.st_dev == a->listening.dev && st.st_ino == a->listening.ino))
        return fd;
    close(fd);
    errno = EEXIST;
    return -1;
}

/* Replaces in *want what place sets. Returns NULL, or what is wrong, which the caller frees. */
static char *read_access(const struct config_listen *place, struct acceptor_access *want)
{
    const struct passwd *pw = place->user ? getpwnam(place->user) : NULL;
    const struct group *gr = place->group ? getgrnam(place->group) : NULL;

    if (place->user && !pw)
        return xasprintf("user= names an unknown user: %s", place->user);
    if (place->group && !gr)
        return xasprintf("group= names an unknown group: %s", place->group);
    if (pw)
        want->uid = pw->pw_uid;
    if (gr)
        want->gid = gr->gr_gid;
    if (place->mode >= 0)
        want->mode = (mode_t)place->mode;
    return NULL;
}

/* fchmod(2) refuses O_PATH descriptors, and Linux has fchmodat2(2) only since 6.6. */
static char *change_mode(int fd, mode_t mode)
{
    char link[64];

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    return chmod(link, mode) == 0 ? NULL
                                  : xasprintf("mode=%04o: %s", (unsigned)mode, strerror(errno));
}

static char *change_owner(int fd, const struct config_listen *place,
                          const struct acceptor_access *want)
{
    if (fchownat(fd, "", want->uid, want->gid, AT_EMPTY_PATH) == 0)
        return NULL;
    if (errno != EPERM)
        return xasprintf("user= and group=: %s", strerror(errno));
    return xasprintf("%s: %s: only root can change the owner of a socket: remove %s, and admit "
                     "clients with mode= or, under systemd, with Group= in the unit",
                     place->user ? "user=" : "group=", strerror(errno),
                     place->user ? "user=" : "group=");
}

/* In between nothing is allowed that is not allowed both before and after. */
static char *change_access(int fd, const struct config_listen *place,
                           const struct acceptor_access *want)
{
    struct stat st;
    mode_t mode;
    char *why = NULL;

    if (fstat(fd, &st) != 0)
        return xstrdup(strerror(errno));
    mode = st.st_mode & 07777;
    if (st.st_uid != want->uid || st.st_gid != want->gid) {
        if ((mode & want->mode) != mode)
            why = change_mode(fd, mode & want->mode);
        if (!why)
            why = change_owner(fd, place, want);
        mode &= want->mode;
    }
    return !why && mode != want->mode ? change_mode(fd, want->mode) : why;
}

char *acceptor_set_access(const struct acceptor *a, const struct config_listen *place)
{
    struct acceptor_access want = a->born;
    char *why;
    int fd;

    if (!is_unix(a))
        return NULL;
    why = read_access(place, &want);
    if (why)
        return why;
    fd = open_file(a);
    if (fd < 0)
        return xstrdup(strerror(errno));
    why = change_access(fd, place, &want);
    close(fd);
    return why;
}

/*
 * Checks a file at the path of a socket that is to be bound. Returns NULL, or what is wrong, which
 * the caller frees.
 */
static char *check_file(const struct config_listen *place, uid_t user)
{
    const struct passwd *pw = place->user ? getpwnam(place->user) : NULL;
    struct stat st;

    if (lstat(place->addr.un.sun_path, &st) != 0)
        return NULL;
    if (!S_ISSOCK(st.st_mode))
        return xstrdup("there is a file that is not a socket: remove it, or choose another path");
    if (!safepath_is_trusted(st.st_uid, user) && !(pw && pw->pw_uid == st.st_uid))
        return xasprintf("there is a socket of another user (uid %u): choose another path",
                         (unsigned)st.st_uid);
    return NULL;
}

/* Removes a socket file on which no program listens: a crash has left it. */
static char *remove_stale_socket(const struct config_listen *place)
{
    const char *path = place->addr.un.sun_path;
    const int fd = sock_open(AF_UNIX);
    int error = 0;

    if (fd < 0 || connect(fd, &place->addr.sa, place->addr.len) != 0)
        error = errno;
    if (fd >= 0)
        close(fd);
    if (error == ENOENT)
        return NULL;
    if (error == 0)
        return xstrdup("another program listens on it");
    if (error != ECONNREFUSED)
        return xasprintf("there is a socket, and it cannot be found out whether a program "
                         "listens on it: %s",
                         strerror(error));
    return unlink(path) == 0 ? NULL
                             : xasprintf("the old socket cannot be removed: %s", strerror(errno));
}

static char *check_directory(const char *path, uid_t user)
{
    char *copy = xstrdup(path), *why = safepath_check(dirname(copy), user), *text;

    free(copy);
    if (!why)
        return NULL;
    text = xasprintf(
        "%s: a Unix socket belongs in a directory that only root and the daemon's user "
        "can write to, such as /run/pinproxy",
        why);
    free(why);
    return text;
}

char *acceptor_check(const struct config_listen *place, uid_t user)
{
    char *why;

    if (place->addr.sa.sa_family != AF_UNIX)
        return NULL;
    why = check_directory(place->addr.un.sun_path, user);
    return why ? why : check_file(place, user);
}

/* Notes which file was just bound, and its access. */
static char *note_file(struct acceptor *a, mode_t mask)
{
    const int fd = open(a->addr.un.sun_path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    int error;

    if (fd < 0)
        return xstrdup(strerror(errno));
    error = fstat(fd, &st) != 0 ? errno : 0;
    close(fd);
    if (error)
        return xstrdup(strerror(error));
    /* the daemon's user can write to the directory, and may have replaced the file */
    if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1)
        return xstrdup("another file was put in its place");
    a->listening.dev = st.st_dev;
    a->listening.ino = st.st_ino;
    a->born = (struct acceptor_access){st.st_uid, st.st_gid, 0777 & ~mask};
    return NULL;
}

static char *bind_unix(struct acceptor *a, const struct config_listen *place, uid_t user)
{
    char *why = acceptor_check(place, user);
    mode_t mask;
    int error;

    if (!why)
        why = remove_stale_socket(place);
    if (why)
        return why;
    mask = umask(0177);
    error = bind(a->fd, &place->addr.sa, place->addr.len) != 0 ? errno : 0;
    (void)umask(mask);
    if (error)
        return xstrdup(strerror(error));
    why = note_file(a, mask);
    return why ? why : acceptor_set_access(a, place);
}

static char *bind_tcp(struct acceptor *a, const struct acceptor_options *options)
{
    const struct addr *addr = &options->place->addr;
    socklen_t len = sizeof(a->addr) - offsetof(struct addr, sa);
    const int on = 1;
    int given = 0;

    (void)setsockopt(a->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (addr->sa.sa_family == AF_INET6)
        (void)setsockopt(a->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    /* only sockets of the same user can share a port, and a later one is bound without root */
    if (options->user != 0)
        given = fchown(a->fd, options->user, (gid_t)-1);
    (void)given; /* without that right a reload that shares the port fails: address in use */
    if (options->share_port)
        sock_share_port(a->fd, true);
    if (bind(a->fd, &addr->sa, addr->len) != 0)
        return xstrdup(strerror(errno));
    if (getsockname(a->fd, &a->addr.sa, &len) == 0)
        a->addr.len = len;
    return NULL;
}

char *acceptor_open(struct acceptor *a, const struct acceptor_options *options)
{
    const struct config_listen *place = options->place;
    char *why;

    *a = (struct acceptor){.addr = place->addr, .fd = sock_open(place->addr.sa.sa_family)};
    if (a->fd < 0)
        return xstrdup(strerror(errno));
    why = is_unix(a) ? bind_unix(a, place, options->user) : bind_tcp(a, options);
    if (!why) {
        listening_add(&a->listening, a->fd, &a->addr, options->section);
        sock_tune(a->fd, place->addr.sa.sa_family, options->keepalive);
        if (listen(a->fd, SOMAXCONN) != 0)
            why = xstrdup(strerror(errno));
    }
    if (why)
        acceptor_close(a);
    return why;
}

bool acceptor_is_in_place(const struct acceptor *a)
{
    const int fd = is_unix(a) ? open_file(a) : -1;

    if (fd >= 0)
        close(fd);
    return fd >= 0 || !is_unix(a);
}

bool acceptor_accept(const struct acceptor *a, struct stream *client)
{
    struct addr *peer = &client->peer;

    peer->len = sizeof(*peer) - offsetof(struct addr, sa);
    client->fd = accept4(a->fd, &peer->sa, &peer->len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    client->kind = is_unix(a) ? STREAM_SOCKET : STREAM_TCP;
    client->attachment = NULL;
    return client->fd >= 0;
}

void acceptor_close(struct acceptor *a)
{
    if (a->fd < 0)
        return;
    if (is_unix(a) && a->listening.ino != 0 && acceptor_is_in_place(a))
        (void)unlink(a->addr.un.sun_path);
    close(a->fd);
    listening_remove(&a->listening);
    a->fd = -1;
}
