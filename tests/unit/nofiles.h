/* Shows that code makes no system call on a file. */
#ifndef UNIT_NOFILES_H
#define UNIT_NOFILES_H

/*
 * Calls run(arg) in a child process, which the kernel kills at the first system call that opens,
 * examines, reads, locks or syncs a file (seccomp(2)). Fails the test if that happens, or if an
 * assertion fails in it. What run() changes in memory is lost.
 */
void assert_no_file_calls(void (*run)(void *arg), void *arg);

#endif
