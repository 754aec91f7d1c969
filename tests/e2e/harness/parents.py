"""Parent proxies in Python. Each connects to the server that a test has set, whatever it is asked for."""

import base64
import contextlib
import ipaddress
import socket
import struct
import threading
import time

from harness import servers
from harness.tls_connection import Truncated
from harness.waiting import DEADLINE


class Refusal(Exception):
    """The parent's answer instead of a connection; `answer` is sent, and then the connection ends."""

    def __init__(self, answer):
        super().__init__(answer)
        self.answer = answer


class _Reader:
    """Reads the bytes of a connection in the pieces that a protocol has."""

    def __init__(self, conn):
        self.conn, self.bytes = conn, b""

    def exactly(self, count):
        while len(self.bytes) < count:
            self._more()
        data, self.bytes = self.bytes[:count], self.bytes[count:]
        return data

    def until(self, end):
        while end not in self.bytes:
            self._more()
        data, _, self.bytes = self.bytes.partition(end)
        return data

    def _more(self):
        data = self.conn.recv()
        if not data:
            raise Truncated("ended within a request")
        self.bytes += data


class Route:
    """Where a parent connects to, what it was asked for, and what it refuses.

    `refused` maps "HOST:PORT" to the refusal's code. `credentials` is (user, password).
    """

    def __init__(self, target, credentials=None, refused=None, pause=None):
        self.target, self.credentials, self.refused, self.pause = target, credentials, refused or {}, pause
        self.asked = []

    def connect(self, host, port):
        self.asked.append(f"{host}:{port}")
        return socket.create_connection((self.target.host, self.target.port), DEADLINE)


def _send(conn, data, pause=None):
    send = conn.send if hasattr(conn, "send") else conn.sock.sendall
    if pause is None:
        send(data)
        return
    for at in range(len(data)):
        send(data[at:at + 1])
        time.sleep(pause)


def _reset_while_read(sock):
    """Resets a connection that another thread reads. A close would be no reset before that thread has ended."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RD)


def reset_while_read(conn):
    conn.close_notify = lambda: None
    _reset_while_read(conn.sock)


def _pump(conn, out, first):
    """Carries bytes both ways, until both directions have ended. A reset passes too."""
    out.settimeout(DEADLINE)

    def back():
        with contextlib.suppress(OSError):
            try:
                while data := out.recv(1 << 18):
                    _send(conn, data)
            except ConnectionResetError:
                reset_while_read(conn)
                return
            if hasattr(conn, "close_notify"):
                conn.close_notify()
            else:
                conn.sock.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=back, daemon=True)
    thread.start()
    try:
        if first:
            out.sendall(first)
        try:
            while data := conn.recv():
                out.sendall(data)
            out.shutdown(socket.SHUT_WR)
        except (ConnectionResetError, Truncated):
            _reset_while_read(out)
        except OSError:
            pass
        thread.join(DEADLINE)
    finally:
        out.close()


def serve(handshake):
    """Makes a behaviour from a handshake, which returns the connection to the target and the bytes behind it."""
    def behave(conn):
        try:
            out, rest = handshake(conn)
        except Refusal as refusal:
            _send(conn, refusal.answer)
            if hasattr(conn, "close_notify"):
                conn.close_notify()
            return
        _pump(conn, out, rest)
    return behave


def socks5(route):
    def handshake(conn):
        reader = _Reader(conn)
        version, count = reader.exactly(2)
        methods = reader.exactly(count)
        assert version == 5
        if route.credentials:
            if 2 not in methods:
                raise Refusal(b"\5\xff")
            _send(conn, b"\5\2", route.pause)
            assert reader.exactly(1) == b"\1"
            user = reader.exactly(reader.exactly(1)[0])
            password = reader.exactly(reader.exactly(1)[0])
            if (user, password) != route.credentials:
                raise Refusal(b"\1\1")
            _send(conn, b"\1\0", route.pause)
        else:
            _send(conn, b"\5\0", route.pause)
        head = reader.exactly(4)
        assert head[:3] == b"\5\1\0"
        if head[3] == 3:
            host = reader.exactly(reader.exactly(1)[0]).decode()
        else:
            host = str(ipaddress.ip_address(reader.exactly(4 if head[3] == 1 else 16)))
        port, = struct.unpack("!H", reader.exactly(2))
        if code := route.refused.get(f"{host}:{port}"):
            route.asked.append(f"{host}:{port}")
            raise Refusal(bytes([5, code, 0, 1, 0, 0, 0, 0, 0, 0]))
        out = route.connect(host, port)
        _send(conn, b"\5\0\0\1\0\0\0\0\0\0", route.pause)
        return out, reader.bytes
    return serve(handshake)


def http(route):
    def handshake(conn):
        reader = _Reader(conn)
        lines = reader.until(b"\r\n\r\n").split(b"\r\n")
        method, authority, version = lines[0].decode().split(" ")
        fields = dict(line.decode().split(": ", 1) for line in lines[1:])
        assert (method, version) == ("CONNECT", "HTTP/1.1") and fields["Host"] == authority, lines
        if route.credentials:
            expected = "Basic " + base64.b64encode(b":".join(route.credentials)).decode()
            if fields.get("Proxy-Authorization") != expected:
                raise Refusal(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        host, port = authority.rsplit(":", 1)
        if code := route.refused.get(authority):
            route.asked.append(authority)
            raise Refusal(b"HTTP/1.1 %d No\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nnot you\r\n" % code)
        out = route.connect(host.strip("[]"), int(port))
        _send(conn, b"HTTP/1.1 200 Connection established\r\nContent-Length: 7\r\n\r\n", route.pause)
        return out, reader.bytes
    return serve(handshake)


PROTOCOLS = {"socks5": socks5, "http": http}


class Proxy(servers.RawServer):
    """A parent proxy as a process has it: it looks up nothing, and connects to the target of its route."""

    def __init__(self, protocol, target):
        self.route = Route(target)
        super().__init__(PROTOCOLS[protocol](self.route))


class HttpsProxy(servers.TlsServer):
    def __init__(self, target, cert):
        self.route = Route(target)
        super().__init__(http(self.route), cert)
