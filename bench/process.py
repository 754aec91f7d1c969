"""A proxy as it runs: on one CPU, in a session of its own; what it costs, read from /proc."""

import os
import pathlib
import re
import signal
import subprocess
import time

PROC = pathlib.Path("/proc")


class Running:
    """One proxy from start to stop. Every process of its session counts as the proxy."""

    def __init__(self, command, cpu, log, ready):
        """Returns once ready() is true."""
        with open(log, "ab") as output:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(cpu), "setpriv", "--pdeathsig", "TERM", *command],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        deadline = time.monotonic() + 10
        try:
            while not ready():
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise OSError(f"{command[0]} does not answer, see its log")
                time.sleep(0.05)
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def pids(self):
        found = []
        for path in PROC.glob("[0-9]*/stat"):
            try:
                # proc(5): pid (comm) state ppid pgrp session; comm may hold anything
                state, _, _, session = path.read_text().rpartition(")")[2].split()[:4]
            except OSError:
                continue
            if int(session) == self.process.pid and state != "Z":
                found.append(int(path.parent.name))
        return found

    def cpu_times(self):
        """{thread: nanoseconds, user and system} of all that live."""
        times = {}
        for pid in self.pids():
            for path in PROC.glob(f"{pid}/task/*/schedstat"):
                try:
                    times[path] = int(path.read_text().split()[0])
                except OSError:
                    pass  # it has just ended
        return times

    def cpu_seconds_since(self, before):
        """Of the threads that live; those that ended meanwhile served earlier tunnels."""
        return sum(ns - before.get(thread, 0) for thread, ns in self.cpu_times().items()) / 1e9

    def pss(self):
        """Bytes: private pages, and a share of the others."""
        total = 0
        for pid in self.pids():
            try:
                rollup = (PROC / str(pid) / "smaps_rollup").read_text()
            except OSError:
                continue
            total += 1024 * sum(map(int, re.findall(r"^Pss: +(\d+) kB", rollup, re.M)))
        return total

    def stop(self):
        self.process.terminate()
        deadline = time.monotonic() + 5
        while (self.process.poll() is None or self.pids()) and time.monotonic() < deadline:
            time.sleep(0.05)
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
