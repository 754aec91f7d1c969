"""A second network namespace, and a link to it that can be taken down."""

import contextlib
import ctypes
import itertools
import os
import subprocess

import pytest

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
numbers = itertools.count(os.getpid() % 8000 * 8)


def _run(*command):
    subprocess.run(command, check=True, capture_output=True, text=True)


class Network:
    """`near` is the address on this side, `far` the other's. Sockets created within `there()` are on the far side."""

    def __init__(self):
        number = next(numbers)
        base = f"10.{200 + number // 16384 % 50}.{number // 64 % 256}.{number % 64 * 4}".rsplit(".", 1)
        self.near, self.far = (f"{base[0]}.{int(base[1]) + host}" for host in (1, 2))
        self.link = f"pp{number:x}"
        try:
            self.holder = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; exec cat"], stdin=subprocess.PIPE,
                                           stdout=subprocess.PIPE)
        except FileNotFoundError:
            pytest.skip("no unshare(1)")
        if not self.holder.stdout.read(1):
            self.stop()
            pytest.skip("no network namespaces here (a container without the right to make them, or not root)")
        try:
            self._connect()
        except (subprocess.CalledProcessError, FileNotFoundError, OSError) as error:
            self.stop()
            pytest.skip(f"no link to a network namespace can be made here: {getattr(error, 'stderr', error)}")

    def _connect(self):
        _run("ip", "link", "add", self.link, "type", "veth", "peer", "name", "far0", "netns", str(self.holder.pid))
        _run("ip", "address", "add", f"{self.near}/30", "dev", self.link)
        _run("ip", "link", "set", self.link, "up")
        with self.there():
            _run("ip", "address", "add", f"{self.far}/30", "dev", "far0")
            _run("ip", "link", "set", "far0", "up")

    @contextlib.contextmanager
    def there(self):
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        other = os.open(f"/proc/{self.holder.pid}/ns/net", os.O_RDONLY)
        try:
            self._enter(other)
            try:
                yield
            finally:
                self._enter(here)
        finally:
            os.close(here)
            os.close(other)

    @staticmethod
    def _enter(namespace):
        if libc.setns(namespace, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")

    def take_down(self, end):
        """Takes the link down, at the near or the far end."""
        if end == "near":
            _run("ip", "link", "set", self.link, "down")
        else:
            with self.there():
                _run("ip", "link", "set", "far0", "down")

    def stop(self):
        subprocess.run(["ip", "link", "delete", self.link], capture_output=True)
        self.holder.stdin.close()
        self.holder.stdout.close()
        self.holder.wait()
