"""Upstream servers in Python, each with one way to behave."""

import contextlib
import os
import random
import socket
import ssl
import threading
import time
from pathlib import Path

from harness.tls_connection import KEPT, TlsConn, Truncated, reset
from harness.waiting import DEADLINE, wait_until


# What a TLS server may do with a connection after the handshake.

def echo(conn):
    while data := conn.recv():
        conn.send(data)
    conn.close_notify()


def count_bytes(conn):
    """Reads to the client's end and answers with the number of bytes."""
    while conn.recv():
        pass
    conn.send(str(conn.received).encode())
    conn.close_notify()


def answer_after_end(answer):
    def behave(conn):
        conn.recv_all()
        conn.send(answer)
        conn.close_notify()
    return behave


def send_then_read(data):
    """Ends its own side first, then reads to the client's end."""
    def behave(conn):
        conn.send(data)
        conn.close_notify()
        conn.recv_all()
    return behave


def send_then_truncate(data, count=1):
    """Ends TCP without close_notify."""
    def behave(conn):
        for _ in range(count):
            conn.send(data)
        conn.truncate()
    return behave


def send_then_reset(data):
    def behave(conn):
        conn.send(data)
        # The peer must read the bytes first, because a reset may overtake them.
        conn.recv_exactly(1)
        conn.reset()
    return behave


def stall(conn):
    """Reads nothing until the test sets `released`, then does what count_bytes() does."""
    conn.released.wait()
    count_bytes(conn)


def send_forever(conn):
    block = bytes(range(256)) * 256
    while True:
        conn.send(block)


class _Server:
    """Accepts connections on a free port, with a thread for each."""

    cert = None

    def __init__(self, host="127.0.0.1", port=0, listener=None):
        """`listener`: a bound socket to listen on, in place of a new one."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = listener or socket.socket(family, socket.SOCK_STREAM)
        if not listener:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind((host, port))
        self.listener.listen(1024)
        self.host, self.port = host, None if listener else self.listener.getsockname()[1]
        self.conns = []
        self.threads = []
        self.bugs = []
        self.before = []  # proxies that lead to it, which end with it
        self.stopping = threading.Event()
        self.released = threading.Event()  # behaviours may wait for it; set by a test, or by stop()
        self.acceptor = threading.Thread(target=self._accept, daemon=True)
        self.acceptor.start()

    @property
    def address(self):
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def _accept(self):
        while True:
            try:
                sock, peer = self.listener.accept()
            except OSError:
                return
            if sock.family in (socket.AF_INET, socket.AF_INET6):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._guard, args=(sock, peer), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _guard(self, sock, peer):
        try:
            self._serve(sock, peer)
        except (OSError, Truncated, ssl.SSLError):
            pass  # the connection remembers how it ended
        except Exception as bug:
            if not self.stopping.is_set():
                self.bugs.append(bug)

    def wait_conns(self, count=1):
        """Waits for `count` connections and returns the first of them."""
        wait_until(lambda: len(self.conns) >= count, f"{count} connections at the server")
        return self.conns[:count]

    def stop(self):
        self.stopping.set()
        self.released.set()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for conn in list(self.conns):
            try:
                conn.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        end = time.monotonic() + DEADLINE
        for thread in [self.acceptor, *self.threads]:
            thread.join(max(0, end - time.monotonic()))
        for conn in self.conns:
            conn.sock.close()
        for proxy in self.before:
            proxy.stop()
        assert not self.bugs, self.bugs


def server_context(cert, minimum=None, maximum=None, ciphers=None, alpn=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if minimum:
        context.minimum_version = minimum
    if maximum:
        context.maximum_version = maximum
    # The daemon must refuse weak certificates, so this library must not.
    context.set_ciphers(ciphers or "DEFAULT:@SECLEVEL=0")
    if alpn:
        context.set_alpn_protocols(alpn)
    context.load_cert_chain(cert.chain_file(), cert.key_file())
    return context


def ask_client(server, ca, required=True):
    """Makes a server ask for a client certificate of `ca`. Returns the server."""
    server.context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    server.context.load_verify_locations(ca.pem_file())
    return server


class TlsServer(_Server):
    """A TLS server. After `behave` it closes the connection, unless the behaviour did.

    Each connection has `sni` and `peer`. `behave` runs only after the handshake.
    """

    def __init__(self, behave, cert, host="127.0.0.1", port=0, listener=None, **tls):
        self.behave = behave
        self.tls = tls
        self.use(cert)
        super().__init__(host, port, listener)

    def use(self, cert):
        """Presents this certificate from now on."""
        context = server_context(cert, **self.tls)
        context.sni_callback = lambda tls, name, _: setattr(tls, "sni", name)
        self.cert, self.context = cert, context

    def _serve(self, sock, peer):
        conn = TlsConn(sock, self.context)
        conn.peer, conn.sni, conn.done, conn.released = peer, None, False, self.released
        self.conns.append(conn)
        try:
            conn.handshake()
            conn.sni = getattr(conn.tls, "sni", None)
            self.behave(conn)
            if conn.end is None and sock.fileno() >= 0:
                conn.drain_raw()
        finally:
            if conn.end is None and sock.fileno() >= 0 and conn.error:
                conn.drain_raw()
            sock.close()
            conn.done = True

    def wait_done(self, count=1):
        """Waits until the server has finished `count` connections and returns them."""
        conns = self.wait_conns(count)
        wait_until(lambda: all(conn.done for conn in conns), "the server's end of the connections")
        return conns

    def assert_nothing_received(self, *data):
        """Asserts that no connection received a byte of plaintext, nor any of data in clear."""
        for conn in self.conns:
            assert conn.received == 0, bytes(conn.plaintext[:100])
            for one in data:
                assert one not in conn.wire


class RawConn:
    def __init__(self, sock):
        self.sock = sock
        self.wire = bytearray()

    def recv(self):
        data = self.sock.recv(65536)
        if len(self.wire) < KEPT:
            self.wire += data
        return data


class RawServer(_Server):
    """A server without TLS, for garbage, silence and resets."""

    def __init__(self, behave, **where):
        self.behave = behave
        super().__init__(**where)

    def _serve(self, sock, _):
        sock.settimeout(DEADLINE)
        conn = RawConn(sock)
        conn.released = self.released
        self.conns.append(conn)
        try:
            self.behave(conn)
        finally:
            sock.close()

    def assert_nothing_received(self, *data):
        """Asserts that no connection received any of data in clear. The ClientHello may come."""
        for conn in self.conns:
            for one in data:
                assert one not in conn.wire


def never_answer(conn):
    """Reads, and sends nothing."""
    while conn.recv():
        pass


def answer_garbage(conn):
    conn.recv()
    conn.sock.sendall(b"220 mail.example.com ESMTP ready\r\n" * 4)
    never_answer(conn)


def close_at_hello(conn):
    conn.recv()


def reset_at_hello(conn):
    conn.recv()
    reset(conn.sock)


class Relay(RawServer):
    """Forwards connections to a server, and holds back what that server answers.

    The first `first` bytes of the answer pass; a negative number holds back that many bytes at the end of the server's
    first flight instead. With `pause` the rest follows in single bytes, one every `pause` seconds; without it the rest
    waits for open(). A new connection waits again after close().
    """

    def __init__(self, target, first=0, pause=None):
        self.target, self.first, self.pause, self.cert = target, first, pause, target.cert
        super().__init__(self._forward)

    def open(self):
        self.released.set()

    def close(self):
        self.released.clear()

    def wait_held(self, count):
        """Waits until `count` connections have sent their ClientHello."""
        wait_until(lambda: sum(len(conn.wire) > 0 for conn in self.conns) >= count, f"{count} handshakes under way")

    def _forward(self, conn):
        out = socket.create_connection((self.target.host, self.target.port), DEADLINE)
        back = threading.Thread(target=self._forward_answer, args=(out, conn.sock), daemon=True)
        back.start()
        try:
            while data := conn.recv():
                out.sendall(data)
        finally:
            with contextlib.suppress(OSError):
                out.shutdown(socket.SHUT_WR)
            back.join(DEADLINE)
            out.close()

    def _forward_answer(self, out, sock):
        left = self.first
        with contextlib.suppress(OSError):
            while data := out.recv(65536):
                now, held = data[:left], data[left:]
                left = max(0, left - len(now))
                sock.sendall(now)
                if held:
                    self._forward_held(sock, held)
            sock.shutdown(socket.SHUT_WR)

    def _forward_held(self, sock, held):
        if self.pause is None:
            self.released.wait(DEADLINE)
            if not self.stopping.is_set():
                sock.sendall(held)
            return
        for at in range(len(held)):
            if self.stopping.wait(self.pause):
                return
            sock.sendall(held[at:at + 1])


class FullBacklog:
    """A port whose backlog is full. A SYN to it is never answered."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.port = self.listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.fillers = []
        for _ in range(64):
            filler = socket.socket()
            filler.settimeout(0.2)
            self.fillers.append(filler)
            try:
                filler.connect(("127.0.0.1", self.port))
            except TimeoutError:
                return
        raise AssertionError("the backlog does not fill")

    def stop(self):
        for sock in [self.listener, *self.fillers]:
            sock.close()


def _spare_ports():
    """Returns ports that neither the kernel (ip(7), ip_local_port_range) nor another test process uses.

    So a test can bind one later, or rely on it to stay closed."""
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    ports = [port for port in range(10_000, 60_000) if not low <= port <= high] or list(range(10_000, 60_000))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    ports = ports[worker::int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]
    random.SystemRandom().shuffle(ports)
    return ports


SPARE_PORTS = _spare_ports()


def closed_port(host="127.0.0.1"):
    """Returns a port that nobody listens on, each time another one."""
    while True:
        port = SPARE_PORTS.pop()
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock, \
                contextlib.suppress(OSError):
            sock.bind((host, port))
            return port
