"""A client that starts TLS itself is refused before any of its data is sent. Any other data is forwarded."""

import random
import socket
import ssl
import time

import pytest

from harness import servers
from harness.certs import NAME
from harness.clients import connect, read_exactly, read_to_any_end
from harness.config import to


def tls_hello():
    """Returns the ClientHello of Python's TLS client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(incoming, outgoing, server_hostname=NAME)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def ssl2_hello(version=b"\x03\x01"):
    """RFC 5246, appendix E.2."""
    ciphers, challenge = bytes.fromhex("00002f 000035 000005 00000a 010080"), bytes(range(16))
    body = b"\x01" + version + len(ciphers).to_bytes(2, "big") + b"\0\0" + b"\0\x10" + ciphers + challenge
    return (0x8000 | len(body)).to_bytes(2, "big") + body


HELLOS = {"tls": tls_hello(), "ssl2_of_tls": ssl2_hello(), "ssl2_of_tls12": ssl2_hello(b"\x03\x03"),
          "ssl2": ssl2_hello(b"\0\x02")}


def send_pieces(address, pieces, pause):
    with connect(address) as client:
        try:
            if client.family != socket.AF_UNIX:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in pieces:
                client.sendall(piece)
                time.sleep(pause)
        except (ConnectionResetError, BrokenPipeError):
            return b""
        return read_to_any_end(client)[0]


def assert_nothing_forwarded(daemon, server, count):
    conns = server.wait_done(count)
    assert [bytes(conn.plaintext) for conn in conns] == [b""] * count
    assert "close_notify" not in [conn.end for conn in conns]
    daemon.wait_event(event="tunnel_close", reason="tls_from_client")


@pytest.mark.parametrize("kind", HELLOS)
def test_a_client_hello_byte_by_byte_is_refused(kind, listen, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server, listen=listen)})
    hello = HELLOS[kind]
    assert send_pieces(daemon.address(NAME), [hello[i:i + 1] for i in range(16)] + [hello[16:]], pause=0.02) == b""
    assert_nothing_forwarded(daemon, server, 1)
    refused = daemon.wait_event(event="refused")
    assert refused["reason"] == "tls_from_client"


@pytest.mark.parametrize("kind", HELLOS)
def test_a_client_hello_split_anywhere_is_refused(kind, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server)})
    hello, places = HELLOS[kind], range(0, 14)
    for place in places:
        assert send_pieces(daemon.address(NAME), [hello[:place], hello[place:]], pause=0.05) == b""
    assert_nothing_forwarded(daemon, server, len(places))


def test_a_client_hello_that_was_sent_before_the_server_was_trusted_is_refused(pinproxyd, tls_server, relay):
    server = tls_server()
    slow = relay(server, first=200, pause=0.0005)
    daemon = pinproxyd({NAME: to(slow)})
    assert send_pieces(daemon.address(NAME), [HELLOS["tls"]], pause=0) == b""
    assert_nothing_forwarded(daemon, server, 1)


OTHERS = [b"\x16", b"\x16\x03", b"\x16\x03\x01", b"\x16\x03\x01\x02\x00", b"\x16\x03\x01\x02\x00\x02", b"\x16hello",
          b"\x80", b"\x80\x2e\x01", b"\x80\x2e\x01\x03\x01\x00\x0f\x00\x00\x00", b"\xff\xfb\x18", b"\x80\x2e\x01\x09"]


@pytest.mark.parametrize("prefix", OTHERS)
def test_data_that_only_begins_like_a_client_hello_arrives(prefix, pinproxyd, tls_server):
    """It arrives even if the client waits for an answer before it sends more."""
    daemon = pinproxyd({NAME: to(tls_server())})
    with connect(daemon.address(NAME)) as client:
        client.sendall(prefix)
        assert read_exactly(client, len(prefix)) == prefix
        client.sendall(HELLOS["tls"])  # after other bytes a ClientHello is ordinary data
        assert read_exactly(client, len(HELLOS["tls"])) == HELLOS["tls"]


@pytest.mark.parametrize("prefix", OTHERS)
def test_data_that_only_begins_like_a_client_hello_arrives_with_the_end(prefix, pinproxyd, tls_server):
    server = tls_server(servers.count_bytes)
    daemon = pinproxyd({NAME: to(server)})
    with connect(daemon.address(NAME)) as client:
        client.sendall(prefix)
        client.shutdown(socket.SHUT_WR)
        assert int(client.recv(100)) == len(prefix)
    conn = server.wait_done()[0]
    assert (bytes(conn.plaintext), conn.end) == (prefix, "close_notify")


def test_data_that_only_begins_like_a_client_hello_arrives_in_any_pieces(pinproxyd, tls_server):
    rng = random.Random(1)
    daemon = pinproxyd({NAME: to(tls_server())})
    for prefix in OTHERS:
        data = prefix[:rng.randint(1, len(prefix))] + b"\n" + bytes(rng.randrange(256) for _ in range(400_000))
        with connect(daemon.address(NAME)) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            at = 0
            while at < 20:
                more = rng.randint(1, 6)
                client.sendall(data[at:at + more])
                at += more
                time.sleep(0.01)
            client.sendall(data[at:])
            assert read_exactly(client, len(data)) == data


def test_data_that_only_begins_like_a_client_hello_arrives_before_an_idle_end(pinproxyd, tls_server):
    """It arrives even if idle_timeout is shorter than the time for which the daemon holds such bytes."""
    server = tls_server(servers.count_bytes)
    daemon = pinproxyd({NAME: to(server, idle_timeout="500ms")})
    with connect(daemon.address(NAME)) as client:
        client.sendall(b"\x16")
        conn = server.wait_done()[0]
    assert (bytes(conn.plaintext), conn.end) == (b"\x16", "close_notify")
    assert daemon.wait_event(event="tunnel_close")["reason"] == "idle"
