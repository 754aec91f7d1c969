"""A time of day that a test sets: a library that is loaded before libc adds an offset to it."""

import mmap
import os
import shutil
import struct
import subprocess
import time

import pytest

DAY = 86400

SOURCE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile long *offset;

__attribute__((constructor)) static void map_offset(void)
{
    const int fd = open(getenv("TEST_CLOCK"), O_RDONLY);

    offset = mmap(NULL, sizeof(*offset), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    const int error = (int)syscall(SYS_clock_gettime, clock, t);

    if (error == 0 && clock == CLOCK_REALTIME && offset)
        t->tv_sec += *offset;
    return error;
}

time_t time(time_t *out)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    if (out)
        *out = t.tv_sec;
    return t.tv_sec;
}
"""


class Clock:
    def __init__(self, directory):
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if not compiler:
            pytest.skip("no C compiler")
        source, library, self.file = (directory / f"clock.{end}" for end in ("c", "so", "offset"))
        source.write_text(SOURCE)
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
        self.file.write_bytes(bytes(mmap.PAGESIZE))
        options = f"{os.environ.get('ASAN_OPTIONS', '')}:verify_asan_link_order=0".lstrip(":")
        self.env = {"LD_PRELOAD": str(library), "TEST_CLOCK": str(self.file), "ASAN_OPTIONS": options}

    def _store(self, offset):
        with open(self.file, "r+b") as file, mmap.mmap(file.fileno(), 8) as memory:
            memory[:] = struct.pack("l", offset)

    def before_midnight(self, seconds):
        """Sets the time to this many seconds before the next midnight (UTC); behind it if negative."""
        now = time.time()
        self._store(round((now // DAY + 1) * DAY - seconds - now))

    def reset(self):
        self._store(0)
