/*
 * An acceptor: one listening socket, TCP or Unix. It binds the socket, sets mode and owner of a
 * Unix socket's file, accepts clients, and closes the socket. It never uses a path at which another
 * user could have placed another file. It knows no sections and no loop.
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
    struct addr addr;            /* that it is bound to */
    struct acceptor_access born; /* the file's access when it was bound, without mode= and so on */
    struct listening listening; /* the file too: while the socket is open, no other has its inode */
};

struct acceptor_options {
    const struct config_listen *place; /* the address to bind */
    const char *section;               /* the section's name, for messages */
    int64_t keepalive; /* milliseconds, for the accepted sockets, which inherit it (tcp(7)) */
    uid_t user;        /* of the daemon, after it has dropped root */
    bool share_port;   /* with another socket; sock_share_port() ends that */
};

/*
 * Checks, without binding, the directory of a Unix socket and a file at its path, as
 * acceptor_open() does. user is the daemon's. Accepts every other address. Returns NULL, or what is
 * wrong, which the caller frees.
 */
char *acceptor_check(const struct config_listen *place, uid_t user);

/*
 * Binds the socket and listens. Nobody can connect to a Unix socket before its mode and owner are
 * set. Replaces a socket file on which no program listens. Returns NULL, or what is wrong, which
 * the caller frees; *a is then closed.
 */
char *acceptor_open(struct acceptor *a, const struct acceptor_options *options);

/* Returns false if this is a Unix socket whose file was removed or replaced. */
bool acceptor_is_in_place(const struct acceptor *a);

/*
 * Sets mode and owner of a Unix socket as place has them; what place does not set is as it was when
 * the socket was bound. Does nothing to other sockets. Returns NULL, or what is wrong, which the
 * caller frees.
 */
char *acceptor_set_access(const struct acceptor *a, const struct config_listen *place);

/* Accepts a client, which the caller then owns. Returns false with errno if accept4(2) fails. */
bool acceptor_accept(const struct acceptor *a, struct stream *client);

/* Closes the socket, and removes its file unless another file is in its place. Idempotent. */
void acceptor_close(struct acceptor *a);

#endif
