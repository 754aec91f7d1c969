"""A proxy as it runs: on its own CPU, in a session of its own; what it costs, read from /proc."""

import errno
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

PROC = pathlib.Path("/proc")
TICK = os.sysconf("SC_CLK_TCK")
START_MOST = 120  # seconds


class Running:
    """One proxy from start to stop. Every process of its session counts as the proxy."""

    def __init__(self, command, cpus, log, listens):
        """Returns once it listens at the last of its addresses; start_seconds says after how long."""
        with open(log, "ab") as output:
            self.start = time.monotonic()
            self.process = subprocess.Popen(
                ["taskset", "-c", ",".join(map(str, cpus)), "setpriv", "--pdeathsig", "TERM",
                 *command], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True)
        try:
            while not listening(listens[-1]):
                if self.process.poll() is not None:
                    raise OSError(f"{command[0]} has ended, see its log")
                if time.monotonic() > self.start + START_MOST:
                    raise OSError(f"{command[0]} does not listen, see its log")
                time.sleep(0.001)
            self.start_seconds = time.monotonic() - self.start
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stats(self):
        """{pid: fields of /proc/pid/stat from the state on, which is number 0}"""
        found = {}
        for path in PROC.glob("[0-9]*/stat"):
            try:
                # proc(5): pid (comm) state ppid pgrp session; comm may hold anything
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == self.process.pid and fields[0] != "Z":
                found[int(path.parent.name)] = fields
        return found

    def cpu_seconds(self):
        """User and system time of all threads and processes so far, of those that ended as well."""
        total = 0
        for pid, fields in self.stats().items():
            try:
                total += time.clock_gettime(process_clock(pid))
            except OSError:
                continue
            total += sum(map(int, fields[13:15])) / TICK  # cutime, cstime: of ended children
        return total

    def memory(self):
        """(PSS, RSS) in bytes: private pages and a share of the others; all pages."""
        pss = rss = 0
        for pid in self.stats():
            try:
                rollup = (PROC / str(pid) / "smaps_rollup").read_text()
            except OSError:
                continue
            pss += 1024 * int(re.search(r"^Pss: +(\d+) kB", rollup, re.M)[1])
            rss += 1024 * int(re.search(r"^Rss: +(\d+) kB", rollup, re.M)[1])
        return pss, rss

    def pss(self):
        return self.memory()[0]

    def stop(self):
        self.process.terminate()
        deadline = time.monotonic() + 10
        while (self.process.poll() is None or self.stats()) and time.monotonic() < deadline:
            time.sleep(0.05)
        for pid in self.stats():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()


def listening(listen):
    """Whether a socket listens there, without bothering it."""
    host, _, port = listen.rpartition(":")
    with socket.socket() as sock:
        # socket(7): with SO_REUSEADDR on both, only a listener is in the way
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, int(port)))
            return False
        except OSError as e:
            return e.errno == errno.EADDRINUSE


def process_clock(pid):
    """clock_getcpuclockid(3), which Python lacks: to the nanosecond, ended threads included."""
    return ~pid << 3 | 2
