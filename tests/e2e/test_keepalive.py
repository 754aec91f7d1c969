"""A peer that vanishes is found. A peer that exists and does not read keeps its tunnel."""

import socket
import time

import pytest

from harness import servers
from harness.certs import NAME
from harness.clients import connect, fill_socket, open_tunnel, read_exactly, read_to_reset
from harness.config import to
from harness.network_namespace import Network
from harness.waiting import wait_steady

KEEPALIVE = "1s"  # a probe after one second, four more at intervals of one second, and one second for the last
LIMIT = 6

pytestmark = pytest.mark.slow


@pytest.fixture
def network(stack):
    return stack.add(Network())


@pytest.fixture(params=["far", "near"])
def end(request):
    return request.param


def far_server(network, tls_server, behave):
    with network.there():
        return tls_server(behave, host=network.far)


@pytest.mark.parametrize("in_flight", ["nothing", "data", "window probes"])
def test_a_server_that_vanishes_is_found(in_flight, end, network, pinproxyd, tls_server):
    server = far_server(network, tls_server, servers.stall if in_flight == "window probes" else servers.echo)
    daemon = pinproxyd({NAME: to(server, keepalive=KEEPALIVE, half_close_timeout="off")})
    with connect(daemon.address(NAME)) as client:
        daemon.wait_event(event="tunnel_open")
        if in_flight == "window probes":
            fill_socket(client)
            client.settimeout(60)
        network.take_down(end)
        if in_flight == "data":
            client.sendall(b"anybody there?")
        assert read_to_reset(client) == b""
    closed = daemon.wait_event(event="tunnel_close")
    assert closed["reason"] == "truncated"


def test_a_server_that_vanishes_after_its_close_notify_is_found(network, pinproxyd, tls_server):
    """Data that the client sends afterwards is not counted as delivered, and the tunnel is reset."""
    server = far_server(network, tls_server, servers.send_then_read(b"bye"))
    daemon = pinproxyd({NAME: to(server, keepalive=KEEPALIVE, half_close_timeout="off")})
    with connect(daemon.address(NAME)) as client:
        assert client.recv(10) == b"bye"
        assert client.recv(10) == b""
        network.take_down("far")
        client.sendall(b"anybody there?")
        closed = daemon.wait_event(event="tunnel_close")
        assert closed["reason"] == "upstream_closed", closed
        with pytest.raises(OSError):
            for _ in range(2):
                client.sendall(b"?")
                time.sleep(0.2)


@pytest.mark.parametrize("in_flight", ["nothing", "data", "window probes"])
def test_a_client_that_vanishes_is_found(in_flight, end, network, pinproxyd, tls_server):
    def answer(conn):
        conn.recv_exactly(1)
        if in_flight == "window probes":
            servers.send_forever(conn)
        conn.send(b"!")
        conn.released.wait(2)
        if in_flight == "data":
            conn.send(b"still there?")
        conn.recv_all()
    server = tls_server(answer)
    daemon = pinproxyd({"global": {"remote_clients": "yes"},
                        NAME: to(server, listen=f"{network.near}:0", keepalive=KEEPALIVE)})
    with network.there():
        client = connect(daemon.address(NAME), receive_buffer=16384)
    with client:
        client.sendall(b"?")
        if in_flight == "window probes":
            wait_steady(lambda: server.conns and server.conns[0].sent)
        else:
            assert read_exactly(client, 1) == b"!"
        network.take_down(end)
        server.released.set()
        closed = daemon.wait_event(event="tunnel_close")
        assert closed["reason"] == "client_reset", closed
        assert server.wait_done()[0].end != "close_notify"


def test_a_peer_that_does_not_read_keeps_its_tunnel(pinproxyd, tls_server):
    """Neither a server nor a client is reset, for several times the time that it takes to find a vanished peer."""
    stalled_server, sending_server = tls_server(servers.stall), tls_server(servers.send_forever)
    daemon = pinproxyd({"server.test": to(stalled_server, keepalive=KEEPALIVE),
                        "client.test": to(sending_server, keepalive=KEEPALIVE)})
    with connect(daemon.address("server.test")) as writer, \
            connect(daemon.address("client.test"), receive_buffer=16384) as reader:
        sent = fill_socket(writer)
        writer.settimeout(60)
        wait_steady(lambda: sending_server.conns and sending_server.conns[0].sent)
        end = time.monotonic() + 3 * LIMIT
        while time.monotonic() < end:
            assert not daemon.events(event="tunnel_close")
            time.sleep(0.5)
        stalled_server.released.set()
        writer.shutdown(socket.SHUT_WR)
        assert int(writer.recv(100)) == sent
        read_exactly(reader, 1 << 20)


def test_an_idle_peer_keeps_its_tunnel(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server, keepalive=KEEPALIVE)})
    with open_tunnel(daemon.address(NAME)) as client:
        time.sleep(2 * LIMIT)
        client.sendall(b"ping")
        assert read_exactly(client, 4) == b"ping"


def test_keepalive_off_sends_no_probes(network, pinproxyd, tls_server):
    server = far_server(network, tls_server, servers.echo)
    daemon = pinproxyd({NAME: to(server, keepalive="off")})
    with open_tunnel(daemon.address(NAME)) as client:
        network.take_down("far")
        client.sendall(b"anybody there?")
        time.sleep(2 * LIMIT)
        assert not daemon.events(event="tunnel_close")

