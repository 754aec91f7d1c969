/* Sockets as the daemon wants them: non-blocking, close-on-exec, quick, kept alive. */
#ifndef BASE_SOCK_H
#define BASE_SOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

/* A new stream socket for the address family, or -1 with errno. */
int sock_open(int family);

/* TCP_NODELAY, and keepalive probes after that much silence (0: none). Unix sockets: nothing. */
void sock_tune(int fd, int family, int64_t keepalive_ms);

/* Bytes that the kernel has not yet delivered to the peer; 0 when it cannot tell. */
int sock_unsent(int fd);

/* close(2) so that the peer sees a reset (TCP); a plain close otherwise. */
void sock_close_reset(int fd);

/* True for the errors that mean: out of descriptors or memory, try again later. */
bool sock_error_is_shortage(int error);

#endif
