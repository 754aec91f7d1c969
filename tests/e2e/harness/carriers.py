"""What carries TLS between the daemon and a server: each kind of `via`.

A carrier makes a server reachable over it, and knows what it cannot express. `over(server)` gives the options of a
section whose upstream is the server.
"""

import array
import contextlib
import fcntl
import os
import pty
import random
import select
import socket
import sys
import termios
import threading
import time
import tty
from pathlib import Path

from harness import certs, parents
from harness.config import OTHERS
from harness.waiting import wait_until

HELPER = Path(__file__).with_name("exec_helper.py")
VMADDR_CID_LOCAL = 1


class Carrier:
    """A way to a server. The attributes say what it can express."""

    name = "tcp"
    resets = True         # the server can reset the connection, and sees a reset
    tunnels = 1           # of the daemon, for each client
    bulk = 64 << 20       # bytes that pass in a few seconds

    def __init__(self, directory):
        self.directory = directory

    def listener(self):
        """Returns a socket that listens, or None for one on a free port."""

    def way(self, server):
        """Returns the options that lead to the server."""
        return {"address": server.address}

    def cut(self, conn):
        """Ends the server's side of the connection without close_notify, in the way that the carrier has."""
        conn.truncate()

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

    def __init__(self, directory):
        super().__init__(directory)
        self.sock = self._bind()
        self.port = self.sock.getsockname()[1]

    @staticmethod
    def _bind():
        sock = socket.socket(socket.AF_VSOCK)
        try:
            sock.bind((VMADDR_CID_LOCAL, socket.VMADDR_PORT_ANY))
        except OSError:
            sock.close()
            raise
        return sock

    @classmethod
    def exists(cls):
        """Returns true if the kernel has the loopback of vsock(7), which needs the module vsock_loopback."""
        try:
            cls._bind().close()
            return True
        except OSError:
            return False

    def listener(self):
        return self.sock

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
    bulk = 192 << 10

    def listener(self):
        self.line = SerialLine()
        return self.line

    def way(self, server):
        return {"via": f"serial:{self.line.device},921600"}

    def cut(self, conn):
        """Unplugs the device when everything is on the line, which has no other end."""
        conn.flush()
        self.line.unplug_at_end()
        conn.truncate()


class SerialLine:
    """Looks like a listener. A client begins with its first byte on the line.

    It ends when the server closes the connection, or when the device is closed, as a modem would see it from DTR.
    """

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
        self.is_cut = False
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

    def unplug_at_end(self):
        """Unplugs the device when the server has shut down its side and the daemon has everything."""
        self.is_cut = True

    def _unplug_when_read(self):
        """A hang-up discards the bytes that the daemon has not read (termios(3), TCIFLUSH)."""
        slave = os.open(self.device, os.O_RDWR | os.O_NOCTTY)
        with contextlib.closing(os.fdopen(slave, "rb", buffering=0)):
            wait_until(lambda: fcntl.ioctl(slave, termios.FIONREAD, b"\0" * 4) == b"\0" * 4, "the daemon to read")
        self.unplug()

    def unplug(self):
        if self.is_plugged:
            self.is_plugged = False
            os.close(self.master)

    def _is_readable(self):
        return bool(select.select([self.master], [], [], 0)[0]) and not self._is_closed()

    def _is_closed(self):
        poll = select.poll()
        poll.register(self.master, 0)
        return any(events & select.POLLHUP for _, events in poll.poll(0))

    def _pump(self):
        to_server = bytearray()
        while not self.stopping and self.is_plugged:
            if not to_server and not self._is_readable():
                time.sleep(0.002)
                continue
            ours, theirs = socket.socketpair()
            with self.changed:
                self.waiting.append(theirs)
                self.changed.notify_all()
            with ours:
                to_server = self._carry(ours, to_server)

    def _carry(self, sock, to_server):
        """Carries one client. Returns the first bytes of the next."""
        sock.setblocking(False)
        to_daemon = bytearray()
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
            if not server_sends and not to_daemon:
                if self.is_cut:
                    self._unplug_when_read()
                return to_server
            with contextlib.suppress(BlockingIOError):
                if to_daemon:
                    del to_daemon[:os.write(self.master, to_daemon)]
            try:
                if to_server:
                    del to_server[:sock.send(to_server)]
            except BlockingIOError:
                pass
            except OSError:
                server_sends = False
        sock.setblocking(True)
        with contextlib.suppress(OSError):
            sock.sendall(to_server)
        return bytearray()


class Socks5(Carrier):
    """A parent proxy, which passes ends and resets on."""

    name = "socks5"

    def way(self, server):
        proxy = parents.Proxy(self.name, server)
        server.before = [proxy]
        return {"via": f"{self.name}://{proxy.address}", "port": server.port}


class Http(Socks5):
    name = "http"


class Section(Carrier):
    """An HTTPS proxy that is a section itself: TLS inside TLS."""

    name = "section"
    tunnels = 2

    def way(self, server):
        proxy = parents.HttpsProxy(server, certs.self_signed(self.directory))
        server.before = [proxy]
        return {"via": "section:proxy.test", "port": server.port,
                OTHERS: {"proxy.test": {"address": proxy.address, "pin": proxy.cert.pin}}}


CARRIERS = {carrier.name: carrier for carrier in (Carrier, Unix, Exec, Serial, Socks5, Http, Section)}
if Vsock.exists():
    CARRIERS[Vsock.name] = Vsock


def over(server, **options):
    """Returns the options of a section whose upstream is `server`, over its carrier, pinned to its key."""
    section = {"listen": "127.0.0.1:0", "pin": server.cert.pin if server.cert else None, **server.way, **options}
    return {key: value for key, value in section.items() if value is not None}
