"""Stops single threads of a daemon as a debugger does, while the others run. See ptrace(2)."""

import contextlib
import ctypes
import os
from pathlib import Path

import pytest

from harness.waiting import wait_until

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WAIT_ALL = 0x40000000  # __WALL: threads too
EPOLL_WAIT = {"x86_64": ("232", "281"), "aarch64": ("22",)}.get(os.uname().machine)  # syscall(2) numbers

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def thread_state(pid, tid):
    """Returns the thread's state in /proc: S asleep, t stopped, Z ended."""
    return Path(f"/proc/{pid}/task/{tid}/stat").read_text().rpartition(")")[2].split()[0]


def workers(daemon):
    """Returns the daemon's worker threads. They have their names before the daemon logs `start`."""
    tasks = Path(f"/proc/{daemon.pid}/task")
    return [int(task.name) for task in tasks.iterdir() if (task / "comm").read_text() == "worker\n"]


def _trace(request, tid):
    if libc.ptrace(request, tid, None, None) == 0:
        return
    error = ctypes.get_errno()
    if request == PTRACE_SEIZE and error == 1:
        pytest.skip("ptrace(2) is not permitted here")
    raise OSError(error, os.strerror(error))


def _waits_for_events(pid, tid):
    """Returns whether a stopped thread is in epoll_wait(2) or a variant of it: elsewhere it may hold a lock."""
    number = Path(f"/proc/{pid}/task/{tid}/syscall").read_text().split()[0]
    return EPOLL_WAIT is None or number in EPOLL_WAIT


def _stop(pid, tid):
    _trace(PTRACE_SEIZE, tid)
    _trace(PTRACE_INTERRUPT, tid)
    os.waitpid(tid, WAIT_ALL)
    if _waits_for_events(pid, tid):
        return True
    _release(tid)
    return False


def _release(tid):
    with contextlib.suppress(OSError):
        _trace(PTRACE_DETACH, tid)
        return
    with contextlib.suppress(OSError):  # it ended in the meantime, and its tracer must collect it
        os.waitpid(tid, WAIT_ALL)


@contextlib.contextmanager
def frozen(daemon, tids):
    """Stops these threads while they wait for events. They run again at the end of the `with` block."""
    assert tids
    taken = []
    try:
        for tid in tids:
            wait_until(lambda: thread_state(daemon.pid, tid) == "S" and _stop(daemon.pid, tid),
                       "a thread that waits for events")
            taken.append(tid)
        yield
    finally:
        for tid in taken:
            _release(tid)
