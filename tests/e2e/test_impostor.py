"""A server that presents the pinned certificate, which is public, without having its key."""

import os
import struct

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from harness import certs
from harness.certs import NAME
from harness.clients import exchange
from harness.daemon import instrumented

IMPOSTORS = 200
MIB = 1 << 20


def message(kind, body):
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def records(data):
    for at in range(0, len(data), 16384):
        piece = data[at:at + 16384]
        yield b"\x16\x03\x03" + struct.pack(">H", len(piece)) + piece


def vector(data, size=3):
    return len(data).to_bytes(size, "big") + data


def flight(chain):
    """ServerHello, Certificate, and a ServerKeyExchange with a wrong signature (RFC 5246, RFC 8422)."""
    hello = b"\x03\x03" + os.urandom(32) + b"\0" + b"\xc0\x2b\0" + vector(b"\xff\x01\0\x01\0", 2)
    point = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(
        Encoding.X962, PublicFormat.UncompressedPoint)
    key_exchange = b"\x03\0\x17" + vector(point, 1) + b"\x04\x03" + vector(os.urandom(70), 2)
    data = (message(2, hello) + message(11, vector(b"".join(vector(der) for der in chain)))
            + message(12, key_exchange) + message(14, b""))
    return b"".join(records(data))


@pytest.mark.slow
def test_a_server_without_the_key_leaves_no_memory_behind(pinproxyd, raw_server, tmp_path):
    """It presents another certificate of 60 KB beside the pinned one each time. The daemon keeps none of them."""
    pinned = certs.self_signed(tmp_path)
    # a parsed subject of many parts takes twenty times its size
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a")] * 2300)
    junk = certs.self_signed(tmp_path, subject=subject).der
    assert 50_000 < len(junk) < 64_000
    count = 0

    def present(conn):
        nonlocal count
        conn.recv()
        count += 1
        # a changed end of the signature makes another certificate that can be parsed
        conn.sock.sendall(flight([pinned.der, junk[:-4] + struct.pack(">I", count)]))
        while conn.recv():
            pass

    daemon = pinproxyd("[global]\nworkers = 1\n"
                       f"[{NAME}]\nlisten = 127.0.0.1:0\naddress = {raw_server(present).address}\n"
                       f"pin = {pinned.pin}\nresume = yes\n")

    def attack(times):
        for _ in range(times):
            with pytest.raises(ConnectionResetError):
                exchange(daemon.address(NAME), b"hello")

    attack(20)
    error = daemon.wait_event(event="upstream_error")
    assert error["reason"] == "tls" and "signature" in error["detail"], error
    before = daemon.rss()
    attack(IMPOSTORS)
    assert count == 20 + IMPOSTORS
    assert instrumented() or daemon.rss() - before < 48 * MIB
    assert not daemon.events(event="tunnel_open")
