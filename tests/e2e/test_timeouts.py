"""Each timeout ends a wait. A timeout that fails shows as a hang."""

import socket
import time

import pytest

from harness import servers
from harness.assertions import assert_refused
from harness.certs import NAME
from harness.clients import connect, open_tunnel, ping, read_all, read_to_any_end
from harness.config import to
from harness.servers import FullBacklog
from harness.waiting import PATIENCE

NOBODYS_PIN = f"sha256//{'A' * 42}8="
SOON = f"{int(400 * PATIENCE)}ms"


@pytest.fixture
def full_backlog(stack):
    return stack.add(FullBacklog())


def test_connect_timeout_ends_a_connect_without_an_answer(pinproxyd, full_backlog):
    daemon = pinproxyd({NAME: {"listen": "127.0.0.1:0", "address": full_backlog.address, "pin": NOBODYS_PIN,
                               "connect_timeout": SOON}})
    assert_refused(daemon, "upstream_error", "timeout", last=True)


def test_connect_timeout_covers_all_addresses_together(pinproxyd, full_backlog):
    daemon = pinproxyd({NAME: {"listen": "127.0.0.1:0", "address": [full_backlog.address] * 3, "pin": NOBODYS_PIN,
                               "connect_timeout": SOON}})
    assert_refused(daemon, "upstream_error", "timeout", last=True)


@pytest.mark.valgrind
def test_handshake_timeout_ends_a_silent_server(pinproxyd, raw_server):
    server = raw_server(servers.never_answer)
    daemon = pinproxyd({NAME: to(server, pin=NOBODYS_PIN, handshake_timeout=SOON)})
    assert_refused(daemon, "upstream_error", "timeout", server=server)


def test_handshake_timeout_ends_a_server_that_does_not_read(pinproxyd, raw_server):
    server = raw_server(lambda conn: conn.released.wait())
    daemon = pinproxyd({NAME: to(server, pin=NOBODYS_PIN, handshake_timeout=SOON)})
    assert_refused(daemon, "upstream_error", "timeout", last=True)


@pytest.mark.parametrize("first", [3, 60, 130], ids=["in_a_record_head", "in_server_hello", "after_server_hello"])
def test_handshake_timeout_ends_a_server_that_stalls(first, pinproxyd, tls_server, relay):
    server = tls_server()
    daemon = pinproxyd({NAME: to(relay(server, first), handshake_timeout=SOON)})
    assert_refused(daemon, "upstream_error", "timeout", server=server)


def test_single_bytes_do_not_extend_handshake_timeout(pinproxyd, tls_server, relay):
    """With a byte from time to time the whole handshake would take minutes."""
    server = tls_server()
    daemon = pinproxyd({NAME: to(relay(server, first=0, pause=0.15 * PATIENCE), handshake_timeout=SOON)})
    assert_refused(daemon, "upstream_error", "timeout", server=server)


def test_idle_timeout_ends_both_sides_cleanly(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server, idle_timeout=SOON)})
    with open_tunnel(daemon.address(NAME)) as client:
        assert read_all(client) == b""
    assert server.wait_done()[0].end == "close_notify"
    daemon.wait_event(event="tunnel_close", reason="idle")


@pytest.mark.parametrize("speaker", ["client", "server"])
def test_a_busy_tunnel_is_not_idle(speaker, pinproxyd, tls_server):
    """Bytes in one direction keep it open, well past the timeout."""
    def tick(conn):
        for _ in range(10):
            time.sleep(0.1)
            conn.send(b".")
        conn.close_notify()
        conn.recv_all()

    server = tls_server(tick if speaker == "server" else servers.count_bytes)
    daemon = pinproxyd({NAME: to(server, idle_timeout=f"{int(600 * PATIENCE)}ms")})
    with connect(daemon.address(NAME)) as client:
        if speaker == "client":
            for _ in range(10):
                client.sendall(b".")
                time.sleep(0.1)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == (b"10" if speaker == "client" else b"." * 10)


def test_idle_timeout_is_off_by_default(pinproxyd, tls_server):
    daemon = pinproxyd({NAME: to(tls_server(), half_close_timeout=SOON, handshake_timeout=SOON, connect_timeout=SOON)})
    with open_tunnel(daemon.address(NAME)) as client:
        time.sleep(1)
        ping(client)


def test_half_close_timeout_ends_a_server_that_does_not_finish(pinproxyd, tls_server):
    def never_ends(conn):
        conn.recv_all()
        conn.drain_raw()
    server = tls_server(never_ends)
    daemon = pinproxyd({NAME: to(server, half_close_timeout=SOON)})
    with connect(daemon.address(NAME)) as client:
        client.sendall(b"request")
        client.shutdown(socket.SHUT_WR)
        assert read_to_any_end(client)[0] == b""
    daemon.wait_event(event="tunnel_close", reason="half_close")
    server.wait_done()


def test_half_close_timeout_ends_a_client_that_does_not_finish(pinproxyd, tls_server):
    server = tls_server(servers.send_then_read(b"all I have"))
    daemon = pinproxyd({NAME: to(server, half_close_timeout=SOON)})
    with connect(daemon.address(NAME)) as client:
        assert read_all(client) == b"all I have"
        daemon.wait_event(event="tunnel_close", reason="half_close")
        server.wait_done()


def test_idle_timeout_applies_after_a_half_close_without_half_close_timeout(pinproxyd, tls_server):
    def never_ends(conn):
        conn.recv_all()
        conn.drain_raw()
    server = tls_server(never_ends)
    daemon = pinproxyd({NAME: to(server, half_close_timeout="off", idle_timeout=SOON)})
    with connect(daemon.address(NAME)) as client:
        client.shutdown(socket.SHUT_WR)
        assert read_to_any_end(client)[0] == b""
    server.wait_done()


def test_half_close_timeout_counts_from_the_last_byte(pinproxyd, tls_server):
    """A long answer after the client's end is not cut off while it flows."""
    def slow_answer(conn):
        conn.recv_all()
        for _ in range(10):
            conn.send(b"a piece. ")
            time.sleep(0.1)
        conn.close_notify()
    daemon = pinproxyd({NAME: to(tls_server(slow_answer), half_close_timeout=f"{int(600 * PATIENCE)}ms")})
    with connect(daemon.address(NAME)) as client:
        client.sendall(b"request")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"a piece. " * 10


def test_timeouts_of_zero_are_off(pinproxyd, tls_server, relay):
    server = relay(tls_server(), first=100, pause=0.001)
    daemon = pinproxyd({NAME: to(server, idle_timeout="0", half_close_timeout="off")})
    with open_tunnel(daemon.address(NAME)) as client:
        ping(client)
