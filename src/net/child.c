#include "net/child.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/program.h"
#include "base/sock.h"
#include "base/util.h"

/* The programs of the process, for child_kill_all(). */
static struct {
    pthread_mutex_t lock;
    pid_t *pids;
    size_t count;
    size_t room;
    bool is_closed;
} running = {.lock = PTHREAD_MUTEX_INITIALIZER};

static atomic_bool shares_stderr;

void child_share_stderr(void)
{
    atomic_store(&shares_stderr, true);
}

/* Returns 0, or an errno value. */
static int add_pid(pid_t pid)
{
    int error = 0;

    pthread_mutex_lock(&running.lock);
    if (running.is_closed) {
        error = ECANCELED;
    } else if (running.count == running.room) {
        const size_t room = running.room ? 2 * running.room : 16;
        pid_t *grown = reallocarray(running.pids, room, sizeof(*grown));

        if (grown) {
            running.pids = grown;
            running.room = room;
        } else {
            error = ENOMEM;
        }
    }
    if (!error)
        running.pids[running.count++] = pid;
    pthread_mutex_unlock(&running.lock);
    return error;
}

static void remove_pid(pid_t pid)
{
    size_t i;

    pthread_mutex_lock(&running.lock);
    for (i = 0; i < running.count && running.pids[i] != pid; i++)
        ;
    if (i < running.count)
        running.pids[i] = running.pids[--running.count];
    if (running.count == 0) {
        free(running.pids);
        running.pids = NULL;
        running.room = 0;
    }
    pthread_mutex_unlock(&running.lock);
}

void child_kill_all(int signal)
{
    size_t i;

    pthread_mutex_lock(&running.lock);
    running.is_closed |= signal == SIGKILL;
    for (i = 0; i < running.count; i++)
        (void)kill(-running.pids[i], signal);
    pthread_mutex_unlock(&running.lock);
}

/* The descriptors of a spawn: our ends and the child's. */
struct ends {
    int ours, theirs;         /* the socket pair */
    int error, error_written; /* the pipe, which the child writes */
};

static void close_ends(const struct ends *e)
{
    close(e->ours);
    close(e->theirs);
    close(e->error);
    close(e->error_written);
}

/* Returns 0, or an errno value with everything undone. */
static int open_ends(struct ends *e)
{
    int pair[2], pipe[2], error;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return errno;
    if (pipe2(pipe, O_CLOEXEC) != 0) {
        error = errno;
        close(pair[0]);
        close(pair[1]);
        return error;
    }
    *e = (struct ends){pair[0], pair[1], pipe[0], pipe[1]};
    sock_widen(e->theirs);                      /* endpoint_open() does it for ours */
    (void)fcntl(e->error, F_SETFL, O_NONBLOCK); /* of our end alone */
    return 0;
}

/* Returns a variable of the environment as "NAME=VALUE", which the caller frees, or NULL. */
static char *make_variable(const char *name, const char *without)
{
    const char *value = getenv(name);
    char *text;

    if (!value)
        value = without;
    if (!value || asprintf(&text, "%s=%s", name, value) < 0)
        return NULL;
    return text;
}

/*
 * posix_spawn() shares the memory with the child until it executes the program, so it costs the same
 * however large this process is. fork() would copy the page tables.
 */
static int spawn(pid_t *pid, char *const argv[], const struct ends *e)
{
    char *variables[] = {make_variable("PATH", PROGRAM_DEFAULT_PATH), make_variable("LANG", NULL),
                         make_variable("HOME", NULL)};
    char *environment[COUNT_OF(variables) + 1];
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    size_t i, n = 0;
    int error;

    for (i = 0; i < COUNT_OF(variables); i++)
        if (variables[i])
            environment[n++] = variables[i];
    environment[n] = NULL;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawn_file_actions_init(&files);
    error = posix_spawn_file_actions_adddup2(&files, e->theirs, STDIN_FILENO);
    if (!error)
        error = posix_spawn_file_actions_adddup2(&files, e->theirs, STDOUT_FILENO);
    if (!error && !atomic_load(&shares_stderr))
        error = posix_spawn_file_actions_adddup2(&files, e->error_written, STDERR_FILENO);
    /* every descriptor of ours is close-on-exec; this holds for those of libraries too */
    if (!error)
        error = posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    if (!error)
        error = posix_spawn(pid, argv[0], &files, &attributes, argv, environment);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    for (i = 0; i < n; i++)
        free(environment[i]);
    return error;
}

int child_spawn(struct child *c, char *const argv[])
{
    struct ends e = {-1, -1, -1, -1};
    pid_t pid;
    int error = open_ends(&e), pidfd;

    if (error)
        return error;
    error = spawn(&pid, argv, &e);
    if (error) {
        close_ends(&e);
        return error;
    }
    pidfd = pidfd_open(pid, 0);
    error = pidfd < 0 ? errno : add_pid(pid);
    if (error) {
        if (pidfd >= 0)
            close(pidfd);
        close_ends(&e);
        (void)kill(-pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        return error;
    }
    close(e.theirs);
    close(e.error_written);
    *c = (struct child){.pid = pid, .pidfd = pidfd, .io = e.ours, .error = e.error};
    return 0;
}

bool child_has_exited(const struct child *c, struct child_exit *out)
{
    siginfo_t info = {.si_pid = 0};

    if (waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) != 0
        || info.si_pid == 0)
        return false;
    out->exited = info.si_code == CLD_EXITED;
    out->status = info.si_status;
    return true;
}

void child_kill(const struct child *c, int signal)
{
    (void)kill(-c->pid, signal);
}

void child_reap(const struct child *c)
{
    siginfo_t info;

    child_kill(c, SIGKILL);
    remove_pid(c->pid); /* before the process id is free */
    (void)waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED | WNOHANG);
}

const char *child_describe(const struct child_exit *e, char out[CHILD_TEXT_SIZE])
{
    if (e->exited)
        snprintf(out, CHILD_TEXT_SIZE, "exited with status %d", e->status);
    else
        snprintf(out, CHILD_TEXT_SIZE, "was killed by signal %d (%s)", e->status,
                 strsignal(e->status));
    return out;
}
