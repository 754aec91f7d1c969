"""max_lifetime: a tunnel ends in order in its first second without a byte, and by resets if there is none."""

import socket
import time

import pytest

from harness import servers
from harness.certs import NAME
from harness.clients import connect, open_tunnel, ping, read_all, read_exactly, read_to_any_end
from harness.config import to
from harness.waiting import PATIENCE

SOON = f"{int(400 * PATIENCE)}ms"


def tick(count):
    """Sends `count` bytes without a second of silence, and then nothing."""
    def behave(conn):
        for _ in range(count):
            conn.send(b".")
            time.sleep(0.1)
        conn.recv_all()
    return behave


def closed(daemon):
    return daemon.wait_event(event="tunnel_close", reason="lifetime", section=NAME)


@pytest.mark.parametrize("where", [NAME, "defaults"])
def test_a_silent_tunnel_ends_cleanly_on_both_sides(where, pinproxyd, tls_server):
    server = tls_server()
    config = {NAME: to(server), "defaults": {}}
    config[where]["max_lifetime"] = SOON
    daemon = pinproxyd(config)
    with open_tunnel(daemon.address(NAME)) as client:
        assert read_all(client) == b""
    assert server.wait_done()[0].end == "close_notify"
    assert int(closed(daemon)["ms"]) >= int(SOON[:-2])
    daemon.stop()
    assert not daemon.events(event=lambda name: name in ("truncated", "refused", "upstream_error"))


@pytest.mark.threads
def test_a_busy_tunnel_ends_at_its_first_second_without_a_byte(pinproxyd, tls_server):
    server = tls_server(tick(20))
    daemon = pinproxyd({NAME: to(server, max_lifetime="300ms")})
    with connect(daemon.address(NAME)) as client:
        assert read_all(client) == b"." * 20
    assert server.wait_done()[0].end == "close_notify"
    assert int(closed(daemon)["received"]) == 20


def test_a_tunnel_that_is_never_silent_ends_by_resets_after_drain_timeout(pinproxyd, tls_server):
    server = tls_server(servers.send_forever)
    daemon = pinproxyd({"global": {"drain_timeout": SOON}, NAME: to(server, max_lifetime=SOON)})
    with connect(daemon.address(NAME)) as client:
        received, was_reset = read_to_any_end(client)
        assert received and was_reset
    assert server.wait_done()[0].end != "close_notify"
    closed(daemon)


def test_without_drain_timeout_a_busy_tunnel_ends_at_once(pinproxyd, tls_server):
    daemon = pinproxyd({"global": {"drain_timeout": "0"}, NAME: to(tls_server(tick(100)), max_lifetime=SOON)})
    with connect(daemon.address(NAME)) as client:
        received, was_reset = read_to_any_end(client)
        assert was_reset and len(received) < 100
    closed(daemon)


def test_bytes_that_wait_for_a_client_are_not_cut_in_a_way_that_looks_whole(pinproxyd, tls_server):
    server = tls_server(servers.send_forever)
    daemon = pinproxyd({"global": {"drain_timeout": f"{int(1500 * PATIENCE)}ms"}, NAME: to(server, max_lifetime=SOON)})
    with connect(daemon.address(NAME)) as client:
        closed(daemon)
        assert read_to_any_end(client)[1], "a clean end"


def test_an_answer_under_way_is_delivered_whole(pinproxyd, tls_server):
    """The client has finished, so it takes the next end for that of the answer."""
    def behave(conn):
        conn.recv_all()
        conn.send(b"half, ")
        time.sleep(1.5 + 0.4 * PATIENCE)
        conn.send(b"and the rest")
        conn.close_notify()
    daemon = pinproxyd({NAME: to(tls_server(behave), max_lifetime=SOON)})
    with connect(daemon.address(NAME)) as client:
        client.sendall(b"request")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"half, and the rest"
    assert daemon.wait_event(event="tunnel_close")["reason"] == "ok"


def test_a_reload_changes_it_for_tunnels_that_open_later(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server)})
    with open_tunnel(daemon.address(NAME)) as before:
        daemon.reload({NAME: to(server, max_lifetime=SOON)})
        with open_tunnel(daemon.address(NAME)) as after:
            assert read_all(after) == b""
        ping(before)
        daemon.reload({NAME: to(server)})
        ping(before)


def test_the_time_begins_when_the_tunnel_opens(pinproxyd, tls_server, relay):
    """A handshake may take longer than the whole lifetime."""
    slow = relay(tls_server(tick(5)), first=0)
    daemon = pinproxyd({NAME: to(slow, max_lifetime="100ms", handshake_timeout="60s")})
    with connect(daemon.address(NAME)) as client:
        slow.wait_held(1)
        time.sleep(0.3)
        slow.open()
        assert read_exactly(client, 5) == b"." * 5
        assert read_all(client) == b""
    closed(daemon)
