"""Scripted servers that speak MySQL's protocol as MySQL 8 does: Debian has none."""

import hashlib
import struct

from harness.clients import read_exactly
from harness.databases import PASSWORD
from harness.servers import server_context
from harness.tls_connection import TlsConn

NONCE = b"abcdefgh" + b"ijklmnopqrst"
ALL = 0xdfffffff  # MySQL 8


def handshake(capabilities=ALL, plugin=b"caching_sha2_password", version=b"8.0.36", charset=255):
    payload = (b"\x0a" + version + b"\0" + b"\7\0\0\0" + NONCE[:8] + b"\0"
               + struct.pack("<HBHH", capabilities & 0xffff, charset, 2, capabilities >> 16)
               + b"\x15" + bytes(10) + NONCE[8:] + b"\0" + plugin + b"\0")
    return packet(0, payload)


def packet(number, payload):
    return struct.pack("<I", len(payload))[:3] + bytes([number]) + payload


OK = b"\0\0\0\2\0\0\0"
EOF = b"\xfe\0\0\2\0"


def read_packet(conn):
    header = conn.recv_exactly(4)
    return header[3], conn.recv_exactly(int.from_bytes(header[:3], "little"))


class Scripted:
    """A behaviour of raw_server: TLS as MySQL starts it, then `login`, then an answer to each command."""

    def __init__(self, cert, login, greeting=None):
        self.cert, self.login, self.greeting = cert, login, greeting or handshake()
        self.commands, self.request, self.response = [], None, None

    def __call__(self, conn):
        conn.sock.sendall(self.greeting)
        self.request = read_exactly(conn.sock, 36)
        tls = TlsConn(conn.sock, server_context(self.cert))
        tls.handshake()
        if self.login(self, tls) is no_login:
            return
        while True:
            number, command = read_packet(tls)
            assert number == 0
            self.commands.append(command)
            if command[:1] == b"\1":
                break
            tls.send(packet(1, EOF if command[:1] == b"\x1b" else OK))
        tls.close_notify()

    def read_response(self, tls):
        number, self.response = read_packet(tls)
        assert number == 2
        # MySQL reads neither a second time, and ends the connection if the character set differs
        assert self.response[:4] == self.request[4:8] and self.response[8] == self.request[12]


def scramble(password):
    one = hashlib.sha256(password.encode()).digest()
    two = hashlib.sha256(hashlib.sha256(one).digest() + NONCE).digest()
    return bytes(a ^ b for a, b in zip(one, two))


def no_login(_, tls):
    """Expects not a byte."""
    assert tls.recv() == b""
    return no_login


def fast_login(server, tls):
    server.read_response(tls)
    assert scramble(PASSWORD) in server.response
    tls.send(packet(3, b"\1\3") + packet(4, OK))


def full_login(server, tls):
    """The server has no hash in its cache, and asks for the password itself."""
    server.read_response(tls)
    tls.send(packet(3, b"\1\4"))
    assert read_packet(tls) == (4, PASSWORD.encode() + b"\0")
    tls.send(packet(5, OK))


def switched_login(server, tls):
    server.read_response(tls)
    tls.send(packet(3, b"\xfecaching_sha2_password\0" + NONCE))
    assert read_packet(tls) == (4, scramble(PASSWORD))
    tls.send(packet(5, b"\1\3") + packet(6, OK))
