"""Plaintext clients on plain sockets."""

import socket
import threading
import time

from harness.waiting import DEADLINE, wait_steady, wait_until

REFUSED = (b"", True)  # what try_connection() returns when a client is refused


def connect(address, timeout=DEADLINE, receive_buffer=None):
    """Connects to ADDR:PORT, [ADDR]:PORT or unix:PATH, the forms of `listen` events."""
    if address.startswith("unix:"):
        sock, where = socket.socket(socket.AF_UNIX), address[5:]
    else:
        host, port = address.rsplit(":", 1)
        host = host.strip("[]")
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        where = (host, int(port))
    sock.settimeout(timeout)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.connect(where)
    return sock


# One connection from its beginning to its end.

def exchange(address, data):
    """Sends data, shuts down the sending side and returns the whole answer. A reset raises."""
    with connect(address) as sock:
        sock.sendall(data)
        try:
            sock.shutdown(socket.SHUT_WR)
        except OSError as error:  # a reset that came first
            raise ConnectionResetError from error
        return read_all(sock)


def try_exchange(address, data=b"hello"):
    """Does what exchange() does, but returns None if the connection is refused or reset."""
    try:
        return exchange(address, data)
    except ConnectionError:
        return None


def try_connection(address, data=b""):
    """Sends data and reads until the other side ends the connection. Returns (bytes received, whether it was reset).

    It does not shut down the sending side: it is for a connection that the daemon should end. The reset may come as
    early as in connect().
    """
    try:
        with connect(address) as sock:
            sent = True
            if data:
                try:
                    sock.sendall(data)
                except (ConnectionResetError, BrokenPipeError):
                    sent = False  # the kernel reports a reset once: here, and then not to read
            received, was_reset = read_to_any_end(sock)
            return received, was_reset or not sent
    except ConnectionResetError:
        return b"", True


# Parts of a connection.

def open_tunnel(address):
    """Returns a connection through which an echoing upstream has answered."""
    sock = connect(address)
    ping(sock)
    return sock


def ping(sock, data=b"ping"):
    """Asserts that an echoing upstream sends data back. The connection stays open."""
    sock.sendall(data)
    assert read_exactly(sock, len(data)) == data


def read_all(sock):
    """Reads to a clean end. A reset raises."""
    parts = []
    while data := sock.recv(1 << 18):
        parts.append(data)
    return b"".join(parts)


def read_to_reset(sock, pause=0):
    """Returns what came before the reset; fails on a clean end. A pause after each read makes it a slow client."""
    parts = []
    try:
        while data := sock.recv(1 << 18):
            parts.append(data)
            time.sleep(pause)
    except ConnectionResetError:
        return b"".join(parts)
    raise AssertionError(f"a clean end after {sum(map(len, parts))} bytes instead of a reset")


def read_to_any_end(sock):
    """Returns (bytes received, whether a reset ended the connection)."""
    parts = []
    try:
        while data := sock.recv(1 << 18):
            parts.append(data)
    except (ConnectionResetError, BrokenPipeError):
        return b"".join(parts), True
    return b"".join(parts), False


def read_exactly(sock, count):
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        assert more, f"ended after {len(data)} of {count} bytes"
        data += more
    return data


def fill_socket(sock):
    """Writes until the socket takes nothing more, and returns how many bytes it took. Leaves the socket non-blocking."""
    sent = 0
    sock.setblocking(False)

    def send_more():
        nonlocal sent
        try:
            while True:
                sent += sock.send(b"x" * 65536)
        except BlockingIOError:
            return sent
    return wait_steady(send_more)


class ContinuousClients:
    """Clients that connect one after another until they are stopped. Each of them must be served.

    There are two for each address. Use it in a `with` statement or with `stack.add()`.
    """

    def __init__(self, *addresses, data=b"hello"):
        self.data, self.served, self.failures = data, 0, []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(address,), daemon=True)
                        for address in addresses for _ in range(2)]
        for thread in self.threads:
            thread.start()

    def _run(self, address):
        while not self.stopping.is_set():
            try:
                assert exchange(address, self.data) == self.data
                self.served += 1
            except (OSError, AssertionError) as failure:
                self.failures.append(failure)

    def wait_more(self, count=6):
        """Waits until `count` more clients were served. A client that is not served fails the test."""
        wanted = self.served + count
        wait_until(lambda: self.failures or self.served >= wanted, f"{count} more clients to be served")
        assert not self.failures, self.failures[:3]

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(DEADLINE)
        assert not self.failures, self.failures[:3]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
