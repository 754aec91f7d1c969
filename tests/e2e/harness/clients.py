"""Plaintext clients on plain sockets."""

import socket
import time

from harness.waiting import DEADLINE


def connect(address, timeout=DEADLINE, receive_buffer=None):
    """To ADDR:PORT, [ADDR]:PORT or unix:PATH, as `listen` events name it."""
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


def read_all(sock):
    """To a clean end; a reset raises."""
    parts = []
    while data := sock.recv(1 << 18):
        parts.append(data)
    return b"".join(parts)


def read_to_reset(sock, pause=0):
    """What came before the reset; fails on a clean end. With a pause after each read it is a slow client."""
    parts = []
    try:
        while data := sock.recv(1 << 18):
            parts.append(data)
            time.sleep(pause)
    except ConnectionResetError:
        return b"".join(parts)
    raise AssertionError(f"a clean end after {sum(map(len, parts))} bytes, where a reset belongs")


def knock(address, words=b""):
    """A client that may be turned away: (what it heard, whether a reset ended it).

    The reset may come as early as in connect().
    """
    try:
        with connect(address) as sock:
            sent = True
            if words:
                try:
                    sock.sendall(words)
                except (ConnectionResetError, BrokenPipeError):
                    sent = False  # the kernel tells of a reset once: here, and then no more
            heard, was_reset = read_to_any_end(sock)
            return heard, was_reset or not sent
    except ConnectionResetError:
        return b"", True


REFUSED = (b"", True)


def read_to_any_end(sock):
    """(what came, whether a reset ended it)."""
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


def ping(sock, data=b"ping"):
    """One round to an echoing upstream, on a connection that stays."""
    sock.sendall(data)
    assert read_exactly(sock, len(data)) == data


def talk(address, data):
    """Sends, ends, and reads the whole answer."""
    with connect(address) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        return read_all(sock)


def open_tunnel(address):
    """A connection through which the echo has answered."""
    sock = connect(address)
    ping(sock)
    return sock
