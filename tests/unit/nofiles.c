#include "nofiles.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "help.h"

static const int forbidden[] = {
#ifdef __NR_open
    __NR_open,
#endif
#ifdef __NR_stat
    __NR_stat,
#endif
#ifdef __NR_lstat
    __NR_lstat,
#endif
#ifdef __NR_access
    __NR_access,
#endif
#ifdef __NR_newfstatat
    __NR_newfstatat,
#endif
    __NR_openat,
#ifdef __NR_openat2
    __NR_openat2,
#endif
#ifdef __NR_fstat
    __NR_fstat,
#endif
    __NR_statx,      __NR_faccessat, __NR_read,  __NR_pread64,
    __NR_readv,      __NR_flock,     __NR_fsync, __NR_getdents64,
};

/* Has the kernel kill the process at one of them. */
static void forbid_file_calls(void)
{
    struct sock_filter filter[2 * COUNT(forbidden) + 2];
    struct sock_fprog program = {.filter = filter};
    size_t i, n = 0;

    filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                               offsetof(struct seccomp_data, nr));
    for (i = 0; i < COUNT(forbidden); i++) {
        filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                                   (unsigned)forbidden[i], 0, 1);
        filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    }
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    program.len = (unsigned short)n;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
        || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(99);
}

static int run_in_child(void (*run)(void *arg), void *arg)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        forbid_file_calls();
        run(arg);
        _exit(0);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void make_a_file_call(void *arg)
{
    (void)arg;
    (void)!access("/", F_OK);
}

void assert_no_file_calls(void (*run)(void *arg), void *arg)
{
    int status;

    if (under_valgrind()) {
        run(arg);
        return;
    }
    /* first, that this can fail */
    status = run_in_child(make_a_file_call, NULL);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
    status = run_in_child(run, arg);
    if (WIFSIGNALED(status))
        fail_msg("a system call on a file, or another death: signal %d", WTERMSIG(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}
