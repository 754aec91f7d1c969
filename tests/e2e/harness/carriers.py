"""What carries TLS between the daemon and a server: each kind of `via`.

A carrier makes a server reachable over it, and knows what it cannot express. `over(server)` gives the options of a
section whose upstream is the server.
"""

import array
import contextlib
import os
import pty
import random
import select
import socket
import sys
import threading
import time
import tty
from pathlib import Path

import pytest

from harness import servers

HELPER = Path(__file__).with_name("exec_helper.py")
VMADDR_CID_LOCAL = 1


class Carrier:
    """A way to a server. The attributes say what it can express."""

    name = "tcp"
    resets = True         # the server can reset the connection, and sees a reset
    one_at_a_time = False
    bulk = 64 << 20       # bytes that pass in a few seconds

    def __init__(self, directory):
        self.directory = directory

    def listener(self):
        """Returns a socket that listens, or None for one on a free port."""

    def way(self, server):
        """Returns the options that lead to the server."""
        return {"address": server.address}

    def start(self, server_class, *arguments, **options):
        server = server_class(*arguments, listener=self.listener(), **options)
        server.way = self.way(server)
        return server


class Unix(Carrier):
    name = "unix"
    resets = False

    def listener(self):
        self.path = self.directory / "server.sock"
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(self.path))
        return sock

    def way(self, server):
        return {"via": f"unix:{self.path}"}


class Vsock(Carrier):
    name = "vsock"
    resets = False

    def listener(self):
        sock = socket.socket(socket.AF_VSOCK)
        try:
            sock.bind((VMADDR_CID_LOCAL, socket.VMADDR_PORT_ANY))
        except OSError as error:
            sock.close()
            pytest.skip(f"the kernel has no vsock_loopback: {error}")
        self.port = sock.getsockname()[1]
        return sock

    def way(self, server):
        return {"via": f"vsock:{VMADDR_CID_LOCAL}:{self.port}"}


class Exec(Carrier):
    """A program that passes its standard input, which is the connection, to the server, and ends with it."""

    name = "exec"
    resets = False

    def listener(self):
        self.path = self.directory / "exec.sock"
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(self.path))
        return ReceivingListener(sock)

    def way(self, server):
        return {"via": f"exec:{sys.executable} -I -S {HELPER} {self.path}"}


class ReceivingListener:
    """A listener whose clients are sockets that programs pass over a Unix socket (unix(7), SCM_RIGHTS)."""

    def __init__(self, sock):
        self.sock = sock
        self.programs = []

    def __getattr__(self, name):
        return getattr(self.sock, name)

    def accept(self):
        program, peer = self.sock.accept()
        _, messages, _, _ = program.recvmsg(1, socket.CMSG_SPACE(4))
        descriptors = array.array("i")
        descriptors.frombytes(messages[0][2])
        return ProgramSocket(program, descriptors[0]), peer


class ProgramSocket(socket.socket):
    """The other end of the daemon's socket pair. Its close ends the program."""

    def __init__(self, program, fd):
        super().__init__(fileno=fd)
        self.program = program

    def close(self):
        super().close()
        self.program.close()


class Serial(Carrier):
    """A pseudoterminal, between whose ends bytes pass in pieces and no faster than BYTES_PER_SECOND."""

    name = "serial"
    resets = False
    one_at_a_time = True
    bulk = 192 << 10

    def listener(self):
        self.line = SerialLine()
        return self.line

    def way(self, server):
        return {"via": f"serial:{self.line.device},921600"}


class SerialLine:
    """Looks like a listener: each opening of the device is a client, as a modem would see it from DTR."""

    BYTES_PER_SECOND = 600_000
    PIECE = 700

    def __init__(self):
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        self.device = os.ttyname(slave)
        os.close(slave)
        os.set_blocking(self.master, False)
        self.waiting = []
        self.changed = threading.Condition()
        self.stopping = False
        self.is_plugged = True
        self.rng = random.Random(1)
        self.pump = threading.Thread(target=self._pump, daemon=True)
        self.pump.start()

    # as of a listening socket

    def listen(self, backlog):
        pass

    def getsockname(self):
        return (self.device, 0)

    def accept(self):
        with self.changed:
            self.changed.wait_for(lambda: self.waiting or self.stopping)
            if self.stopping:
                raise OSError("closed")
            return self.waiting.pop(0), self.device

    def shutdown(self, how):
        with self.changed:
            self.stopping = True
            self.changed.notify_all()

    def close(self):
        self.shutdown(socket.SHUT_RDWR)
        self.pump.join()
        self.unplug()

    # the line

    def unplug(self):
        if self.is_plugged:
            self.is_plugged = False
            os.close(self.master)

    def _is_open(self):
        poll = select.poll()
        poll.register(self.master, 0)
        return not any(events & select.POLLHUP for _, events in poll.poll(0))

    def _pump(self):
        while not self.stopping and self.is_plugged:
            if not self._is_open():
                time.sleep(0.002)
                continue
            ours, theirs = socket.socketpair()
            with self.changed:
                self.waiting.append(theirs)
                self.changed.notify_all()
            with ours:
                self._carry(ours)

    def _carry(self, sock):
        """Carries one session: until the daemon closes the device, or the server cuts the line."""
        sock.setblocking(False)
        to_server, to_daemon = bytearray(), bytearray()
        server_sends = True
        while not self.stopping:
            time.sleep(self.PIECE / self.BYTES_PER_SECOND)
            if len(to_server) < 4096:
                try:
                    to_server += os.read(self.master, self.rng.randint(1, 2 * self.PIECE))
                except BlockingIOError:
                    pass
                except OSError:  # EIO: the device is closed, and everything is read
                    break
            if server_sends and len(to_daemon) < 4096:
                try:
                    data = sock.recv(self.rng.randint(1, 2 * self.PIECE))
                    server_sends = bool(data)
                    to_daemon += data
                except BlockingIOError:
                    pass
                except OSError:
                    server_sends = False
            if not server_sends and not to_daemon and getattr(self, "cut", False):
                self.unplug()
                return
            with contextlib.suppress(BlockingIOError):
                if to_daemon:
                    del to_daemon[:os.write(self.master, to_daemon)]
            try:
                if to_server:
                    del to_server[:sock.send(to_server)]
            except BlockingIOError:
                pass
            except OSError:
                to_server.clear()  # the server has closed, and the line does not know
        sock.setblocking(True)
        with contextlib.suppress(OSError):
            sock.sendall(to_server)


CARRIERS = {carrier.name: carrier for carrier in (Carrier, Unix, Vsock, Exec, Serial)}


def over(server, **options):
    """Returns the options of a section whose upstream is `server`, over its carrier, pinned to its key."""
    section = {"listen": "127.0.0.1:0", "pin": server.cert.pin if server.cert else None, **server.way, **options}
    return {key: value for key, value in section.items() if value is not None}
