"""A reload changes the way to a server, `via` or `starttls`, while a tunnel is about to go the old one."""

import struct
import threading

import pytest
from harness import parents, servers
from harness.certs import NAME, self_signed
from harness.clients import connect, ping, read_all, read_exactly
from harness.config import to
from harness.mysql import OK, Scripted, handshake, packet, read_packet
from harness.parents import Route
from harness.starttls import CONVERSATIONS, StarttlsServer
from harness.waiting import DEADLINE, wait_until

GREETING = CONVERSATIONS["smtp"].greeting


@pytest.fixture
def slow_parent(raw_server):
    """Starts a parent proxy that sends an answer when `go` is set, and then only reads."""
    def start(answer):
        def behave(conn):
            conn.recv()
            go.wait(DEADLINE)
            conn.sock.sendall(answer)
            servers.never_answer(conn)

        go = threading.Event()
        server = raw_server(behave)
        server.go = go
        return server
    return start


def wait_asked(server):
    wait_until(lambda: server.conns and server.conns[0].wire, "the first bytes to the old parent")


@pytest.mark.threads
@pytest.mark.parametrize("new", ("socks5", "http"))
@pytest.mark.parametrize("login", ("", "old:secret@"), ids=("without", "with"))
def test_an_old_parent_is_not_told_the_password_of_the_new_one(login, new, slow_parent, pinproxyd, raw_server, tls_server):
    """It may choose a method that was not offered, as if the password of the new one had been."""
    server = tls_server()
    old = slow_parent(b"\5\2")
    route = Route(server, credentials=(b"me", b"hunter2"))
    parent = raw_server(parents.PROTOCOLS[new](route))
    daemon = pinproxyd({NAME: to(server, address=None, via=f"socks5://{login}{old.address}")})
    with connect(daemon.address(NAME)) as client:
        wait_asked(old)
        daemon.reload({NAME: to(server, address=None, via=f"{new}://me:hunter2@{parent.address}")})
        old.go.set()
        ping(client)
    assert route.asked == [f"{NAME}:443"]
    old.stop()
    old.assert_nothing_received(b"hunter2", NAME.encode())


def test_an_old_parent_is_not_asked_for_the_new_server(slow_parent, pinproxyd, tls_server):
    server = tls_server()
    old = slow_parent(b"\5\0")
    daemon = pinproxyd({NAME: to(server, address=None, via=f"socks5://{old.address}")})
    with connect(daemon.address(NAME)) as client:
        wait_asked(old)
        daemon.reload({NAME: to(server)})
        old.go.set()
        ping(client)
    old.stop()
    old.assert_nothing_received(NAME.encode())


# In the handshake the dialog has been. The client needs its greeting and its filter, and no others.

def held(relay, server, greeting):
    """A relay that lets the greeting pass, and holds the server's part of the handshake."""
    server.cert = getattr(server, "cert", None) or server.behave.cert
    return relay(server, len(greeting))


@pytest.mark.parametrize("after", ("off", "mysql"))
def test_a_greeting_goes_to_the_client_as_its_dialog_has_left_it(after, pinproxyd, stack, relay, tmp_path):
    talk = CONVERSATIONS["smtp"]
    server = stack.add(StarttlsServer(talk, self_signed(tmp_path), servers.echo))
    between = held(relay, server, b"".join(answer for _, answer in talk.turns))
    daemon = pinproxyd({NAME: to(between, starttls="smtp")})
    with connect(daemon.address(NAME)) as client:
        wait_until(lambda: server.conns and server.conns[0].tls, "the handshake")
        daemon.reload({NAME: to(between, starttls=after)})
        between.open()
        assert read_exactly(client, len(GREETING)) == GREETING
        ping(client)


@pytest.mark.parametrize("before, after", (("off", "v1"), ("v1", "off")))
def test_a_server_gets_the_header_that_it_expects(before, after, pinproxyd, tls_server, relay):
    server = tls_server()
    between = relay(server)
    daemon = pinproxyd({NAME: to(between, send_proxy=before)})
    with connect(daemon.address(NAME)) as client:
        between.wait_held(1)
        daemon.reload({NAME: to(between, send_proxy=after)})
        between.open()
        client.sendall(b"hello\n")
        wait_until(lambda: server.conns[0].plaintext.endswith(b"hello\n"), "the bytes of the client")
    assert server.conns[0].plaintext.startswith(b"PROXY" if before == "v1" else b"hello")


@pytest.mark.parametrize("after", ("off", "smtp"))
def test_packets_are_numbered_as_their_dialog_needs(after, pinproxyd, raw_server, relay, tmp_path):
    numbers = []

    def login(_, tls):
        numbers.append(read_packet(tls)[0])
        tls.send(packet(3, OK))

    scripted = Scripted(self_signed(tmp_path), login)
    server = raw_server(scripted)
    between = held(relay, server, handshake())
    daemon = pinproxyd({NAME: to(between, starttls="mysql")})
    with connect(daemon.address(NAME)) as client:
        wait_until(lambda: scripted.request, "SSLRequest")
        between.wait_held(1)
        daemon.reload({NAME: to(between, starttls=after)})
        between.open()
        read_exactly(client, len(handshake()))
        client.sendall(packet(1, struct.pack("<IIB23x", 0x8200, 1 << 24, 45) + b"user\0\0"))
        assert read_exactly(client, 4 + len(OK)) == packet(2, OK)
        client.sendall(packet(0, b"\1"))
        assert read_all(client) == b""
    assert numbers == [2]
