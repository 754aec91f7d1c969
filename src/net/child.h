/*
 * A program that runs as a child of this process, in a session and a process group of its own. Its
 * standard input and output are one socket, its standard error is a pipe. It gets no other
 * descriptor, the environment variables PATH, LANG and HOME alone, and no blocked or ignored signal.
 *
 * The child is not reaped before child_reap(), so its process id, which is the group's id as well,
 * is nobody else's before that. No function waits for SIGCHLD or for other children.
 */
#ifndef NET_CHILD_H
#define NET_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

struct child {
    pid_t pid;
    int pidfd; /* readable when the program has exited */
    int io;    /* our end of the socket pair */
    int error; /* the pipe of its standard error; non-blocking */
};

/* Descriptors of a child in this process. */
#define CHILD_FILES 3

/* How a program has ended. */
struct child_exit {
    bool exited; /* false: a signal has killed it */
    int status;  /* the exit status, or the signal */
};

/*
 * Starts a program: argv[0] is its path. Blocks while the kernel loads it, so it is for a thread
 * that may wait. Returns 0 and fills in *c, whose descriptors the caller owns; or returns an errno
 * value.
 */
int child_spawn(struct child *c, char *const argv[]);

/*
 * Lets programs that start from now on write to the standard error of this process instead of the
 * pipe, for a command that runs in a terminal.
 */
void child_share_stderr(void);

/* Returns true and fills in *out if the program has exited. Does not reap it. */
bool child_has_exited(const struct child *c, struct child_exit *out);

/* Sends a signal to all processes of the program's group. */
void child_kill(const struct child *c, int signal);

/*
 * Reaps a program that has exited, and kills what is left of its group before that. The process id
 * is then free.
 */
void child_reap(const struct child *c);

/*
 * Sends a signal to the groups of all programs of the process that are not reaped, for the end of
 * the process. After SIGKILL, no further program starts. May be called from any thread.
 */
void child_kill_all(int signal);

/* Describes how a program has ended: "exited with status 3", "was killed by signal 9 (Killed)". */
#define CHILD_TEXT_SIZE 96
const char *child_describe(const struct child_exit *e, char out[CHILD_TEXT_SIZE]);

#endif
