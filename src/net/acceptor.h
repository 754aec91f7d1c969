/*
 * An acceptor: one listening socket, TCP or Unix. Binds it; sets mode and owner of a Unix socket's
 * file, never by a path that another user could have put something else in; closes it. Knows no
 * sections and no loop.
 */
#ifndef NET_ACCEPTOR_H
#define NET_ACCEPTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/addr.h"
#include "config/section.h"
#include "net/listening.h"
#include "net/stream.h"

/* Owner, group and mode of a socket file. */
struct acceptor_access {
    uid_t uid;
    gid_t gid;
    mode_t mode;
};

struct acceptor {
    int fd;                      /* -1: closed */
    struct addr addr;            /* as bound */
    struct acceptor_access born; /* Unix: the file's access before mode=, user= and group= */
    struct listening listening;  /* has the file too: while it is open, no other has its inode */
};

struct acceptor_options {
    const struct config_listen *place; /* what to bind */
    const char *section;               /* its name, for messages */
    int64_t keepalive; /* milliseconds, for the accepted sockets, which inherit it (tcp(7)) */
    uid_t user;        /* the daemon's, now or once it has given up root */
    bool share_port;   /* beside another socket that shares it; sock_share_port() ends that */
};

/*
 * Checks, without binding, the directory of a Unix socket and the file that is in its place: what
 * acceptor_open() would refuse for `user`, the daemon's. Accepts every other address. Returns NULL,
 * or what is wrong, which the caller frees.
 */
char *acceptor_check(const struct config_listen *place, uid_t user);

/*
 * Binds, and listens. Until mode and owner of a Unix socket are set nobody can connect. A socket
 * file that nobody listens on is replaced. Returns NULL, or what is wrong, which the caller frees;
 * then *a is closed.
 */
char *acceptor_open(struct acceptor *a, const struct acceptor_options *options);

/* Returns true unless this is a Unix socket whose file has been removed or replaced. */
bool acceptor_is_in_place(const struct acceptor *a);

/*
 * Gives a Unix socket the mode and owner that place wants; what it leaves out is as when the socket
 * was bound. Does nothing to other sockets. Returns NULL, or what is wrong, which the caller frees.
 */
char *acceptor_set_access(const struct acceptor *a, const struct config_listen *place);

/* Accepts a client, which the caller then owns. Returns false with errno if accept4(2) fails. */
bool acceptor_accept(const struct acceptor *a, struct stream *client);

/*
 * Closes the socket, and removes its file unless another is in its place. Closed already: nothing.
 */
void acceptor_close(struct acceptor *a);

#endif
