"""Reloads while connections wait at a chosen point: in the handshake, in the stream, half closed."""

import socket
import ssl

import pytest

from harness import certs, servers
from harness.assertions import SECRET, assert_closed, assert_nothing_sent, assert_refused, failures
from harness.certs import NAME, day
from harness.clients import connect, open_tunnel, ping, read_exactly, read_to_any_end
from harness.config import to
from harness.waiting import DEADLINE, wait_steady, wait_until

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
both_versions = pytest.mark.parametrize("version", [V12, V13], ids=["tls1.2", "tls1.3"])


# Handshakes under way.

@pytest.mark.valgrind
@both_versions
@pytest.mark.parametrize("first", [0, 60, 400])
def test_a_key_revoked_during_the_handshake_is_refused(first, version, pinproxyd, tls_server, relay):
    """The handshake stops before the ServerHello, within it, or after it."""
    server = tls_server(minimum=version, maximum=version)
    stalled = relay(server, first)
    daemon = pinproxyd({NAME: to(stalled)})
    with connect(daemon.address(NAME)) as sock:
        sock.sendall(SECRET)
        stalled.wait_held(1)
        daemon.reload({NAME: to(stalled, revoked=server.cert.pin)})
        stalled.open()
        assert read_to_any_end(sock) == (b"", True)
    daemon.wait_event(event="refused", section=NAME)
    daemon.stop()
    assert failures(daemon) == [("refused", "revoked")]
    assert not daemon.events(event="tunnel_open")
    stalled.stop()
    assert_nothing_sent(server, SECRET)


@pytest.mark.parametrize("trust", ["pki", "pin+pki", "issuer", "tofu"])
@pytest.mark.parametrize("key", ["server", "inner", "root"])
def test_a_key_of_the_chain_revoked_during_the_handshake_is_refused_if_it_is_relied_on(key, trust, pinproxyd, tls_server, relay,
                                                                                       ca, tmp_path):
    """With a learned key alone, the keys of the CAs have no effect."""
    inner = certs.CA(tmp_path, "Inner", parent=ca)
    server = tls_server(cert=inner.issue())
    stalled = relay(server)
    options = {"pki": {"verify": "pki", "pin": None, "ca_file": ca.cert.pem_file()},
               "pin+pki": {"verify": "pin+pki", "ca_file": ca.cert.pem_file()},
               "issuer": {"pin": f"issuer-cert:{ca.cert.pem_file()}"},
               "tofu": {"verify": "tofu", "pin": None}}[trust]
    revoked = {"server": server.cert, "inner": inner.cert, "root": ca.cert}[key].pin
    base = {"global": {"state_dir": tmp_path / "state"}}
    daemon = pinproxyd({**base, NAME: to(stalled, **options)})
    with connect(daemon.address(NAME)) as sock:
        sock.sendall(SECRET)
        stalled.wait_held(1)
        daemon.reload({**base, NAME: to(stalled, revoked=revoked, **options)})
        stalled.open()
        if trust == "tofu" and key != "server":
            assert read_exactly(sock, len(SECRET)) == SECRET
            return
        assert read_to_any_end(sock) == (b"", True)
    daemon.wait_event(event="refused", section=NAME)
    daemon.stop()
    assert failures(daemon) == [("refused", "revoked")]
    stalled.stop()
    assert_nothing_sent(server, SECRET)


@pytest.mark.parametrize("what", ["close", "keep"])
@pytest.mark.parametrize("how", ["pin", "section"])
def test_a_pin_removed_during_the_handshake_is_refused(how, what, pinproxyd, tls_server, relay):
    """on_pin_removed has no effect here. It applies to open tunnels."""
    server, other = tls_server(), tls_server()
    stalled = relay(server)
    rest = {"other.test": to(other)}
    daemon = pinproxyd({NAME: to(stalled, on_pin_removed=what), **rest})
    with connect(daemon.address(NAME)) as sock:
        sock.sendall(SECRET)
        stalled.wait_held(1)
        daemon.reload({NAME: to(stalled, pin=other.cert.pin, on_pin_removed=what), **rest} if how == "pin" else rest)
        stalled.open()
        assert read_to_any_end(sock) == (b"", True)
    daemon.wait_event(event=lambda name: name in ("refused", "pin_mismatch"), section=NAME)
    daemon.stop()
    assert failures(daemon) == [("pin_mismatch", None) if how == "pin" else ("refused", "pin_removed")]
    stalled.stop()
    assert_nothing_sent(server, SECRET)


def test_the_latest_reload_decides_a_handshake(pinproxyd, tls_server, relay, tmp_path):
    """A key that only the first of the two revoked is accepted."""
    server = tls_server()
    stalled = relay(server)
    daemon = pinproxyd({NAME: to(stalled)})
    with connect(daemon.address(NAME)) as sock:
        sock.sendall(b"ping")
        stalled.wait_held(1)
        daemon.reload({NAME: to(stalled, revoked=server.cert.pin)})
        daemon.reload({NAME: to(stalled, revoked=certs.self_signed(tmp_path).pin)})
        stalled.open()
        assert read_exactly(sock, 4) == b"ping"


def test_a_failed_reload_revokes_nothing(pinproxyd, tls_server, relay):
    """A key that a configuration with an error revokes is not revoked."""
    server = tls_server()
    stalled = relay(server)
    daemon = pinproxyd({NAME: to(stalled), "open.test": to(server)})
    broken = {NAME: to(stalled, revoked=server.cert.pin), "open.test": to(server, revoked=server.cert.pin, port=0)}
    with open_tunnel(daemon.address("open.test")) as old, connect(daemon.address(NAME)) as sock:
        sock.sendall(b"ping")
        stalled.wait_held(1)
        daemon.reload(broken, ok=False)
        stalled.open()
        assert read_exactly(sock, 4) == b"ping"
        ping(old)
    assert failures(daemon) == failures(daemon, "open.test") == []


class WaitingClients:
    """Clients that have sent data and wait for the echo."""

    def __init__(self, address, count, first):
        self.data = [b"client %04d" % (first + i) for i in range(count)]
        self.socks = []
        for data in self.data:
            sock = connect(address)
            sock.sendall(data)
            self.socks.append(sock)

    def were_accepted(self):
        """Returns True for each client that gets its echo and False for each that is reset. Fails on anything else."""
        found = []
        for sock, data in zip(self.socks, self.data):
            with sock:
                try:
                    found.append(sock.recv(len(data)) == data)
                    assert found[-1], "a clean end, or another client's data"
                except ConnectionResetError:
                    found.append(False)
        return found


def reload_during_handshakes(pinproxyd, stalled, before, after):
    """Begins 50 handshakes before a reload and 50 after it. Returns the daemon and whether each was accepted."""
    daemon = pinproxyd({NAME: to(stalled, **before)})
    early = WaitingClients(daemon.address(NAME), 50, 0)
    stalled.wait_held(50)
    daemon.reload({NAME: to(stalled, **after)})
    late = WaitingClients(daemon.address(NAME), 50, 50)
    stalled.wait_held(100)
    stalled.open()
    accepted = early.were_accepted() + late.were_accepted()
    daemon.stop()
    return daemon, accepted


@pytest.mark.threads
@both_versions
def test_a_hundred_handshakes_are_accepted_by_the_new_configuration(version, pinproxyd, tls_server, relay):
    """Half of them began under one configuration and half under the next. All are judged by the next."""
    server = tls_server(minimum=version, maximum=version)
    stalled = relay(server)
    before, after = {"pin": f"{server.cert.pin} name=a"}, {"pin": f"{server.cert.pin} name=b"}
    daemon, accepted = reload_during_handshakes(pinproxyd, stalled, before, after)
    assert accepted == [True] * 100
    pins = [event["pin"] for event in daemon.events(event="tunnel_open", section=NAME)]
    assert pins == ["b"] * 100
    assert failures(daemon) == []


@pytest.mark.threads
@both_versions
def test_a_hundred_handshakes_are_refused_by_a_wrong_pin(version, pinproxyd, tls_server, relay, tmp_path):
    """All are refused, with one event each and no plaintext, although half of them began under the right pin."""
    server = tls_server(minimum=version, maximum=version)
    stalled = relay(server)
    before, after = {"pin": f"{server.cert.pin} name=a"}, {"pin": f"{certs.self_signed(tmp_path).pin} name=c"}
    daemon, accepted = reload_during_handshakes(pinproxyd, stalled, before, after)
    assert accepted == [False] * 100
    assert not daemon.events(event="tunnel_open")
    refused = daemon.events(event="pin_mismatch", section=NAME)
    assert sum(1 + int(event.get("repeated", 0)) for event in refused) == 100
    assert {event for event, _ in failures(daemon)} == {"pin_mismatch"}
    stalled.stop()
    assert_nothing_sent(server)


@pytest.mark.threads
def test_a_hundred_handshakes_are_refused_by_a_revoked_key(pinproxyd, tls_server, relay):
    """None is accepted, under whichever configuration it began."""
    server = tls_server()
    stalled = relay(server)
    daemon, accepted = reload_during_handshakes(pinproxyd, stalled, {}, {"revoked": server.cert.pin})
    assert accepted == [False] * 100
    assert not daemon.events(event="tunnel_open")
    lines = daemon.events(event="refused", section=NAME)
    assert {line["reason"] for line in lines} == {"revoked"}
    assert sum(1 + int(line.get("repeated", 0)) for line in lines) == 100
    stalled.stop()
    assert_nothing_sent(server)


# Open tunnels.

@pytest.mark.parametrize("trust", ["pin", "pin+pki", "tofu", "tofu+pki"])
def test_a_revoked_key_closes_tunnels_in_each_mode(trust, pinproxyd, tls_server, ca, tmp_path):
    server = tls_server(cert=ca.issue())
    options = {"verify": trust, "ca_file": ca.cert.pem_file(), "pin": server.cert.pin if "pin" in trust else None}
    base = {"global": {"state_dir": tmp_path / "state"}}
    daemon = pinproxyd({**base, NAME: to(server, **options)})
    with open_tunnel(daemon.address(NAME)) as sock:
        daemon.reload({**base, NAME: to(server, revoked=server.cert.pin, **options)})
        assert_closed(daemon, sock, "revoked")


@pytest.mark.parametrize("trust", ["pki", "pin+pki", "tofu+pki", "issuer"])
@pytest.mark.parametrize("key", ["inner", "root"])
def test_a_revoked_ca_of_the_verified_chain_closes_tunnels_in_each_mode(key, trust, pinproxyd, tls_server, ca, tmp_path):
    inner = certs.CA(tmp_path, "Inner", parent=ca)
    server = tls_server(cert=inner.issue())
    options = {"verify": trust, "ca_file": ca.cert.pem_file(), "pin": server.cert.pin if trust == "pin+pki" else None}
    if trust == "issuer":
        options = {"pin": f"issuer-cert:{ca.cert.pem_file()}"}
    base = {"global": {"state_dir": tmp_path / "state"}}
    daemon = pinproxyd({**base, NAME: to(server, **options)})
    with open_tunnel(daemon.address(NAME)) as sock:
        daemon.reload({**base, NAME: to(server, revoked=(inner if key == "inner" else ca).cert.pin, **options)})
        assert_closed(daemon, sock, "revoked")


def test_a_revoked_ca_beside_the_verified_chain_closes_nothing(pinproxyd, tls_server, ca, tmp_path):
    """The server sends its certificate, but the verified chain does not contain it."""
    inner, stranger = certs.CA(tmp_path, "Inner", parent=ca), certs.CA(tmp_path, "Stranger")
    cert = inner.issue()
    cert.chain.append(stranger.cert.cert)
    server = tls_server(cert=cert)
    options = {"verify": "pki", "pin": None, "ca_file": ca.cert.pem_file()}
    daemon = pinproxyd({NAME: to(server, **options)})
    with open_tunnel(daemon.address(NAME)) as sock:
        daemon.reload({NAME: to(server, revoked=stranger.cert.pin, **options)})
        ping(sock)


@pytest.mark.parametrize("kind", ["issuer-cert", "issuer", "cert"])
def test_a_removed_pin_of_each_kind_closes_tunnels(kind, pinproxyd, tls_server, ca, tmp_path):
    server = tls_server(cert=ca.issue())
    server.cert.chain.append(ca.cert.cert)
    server.use(server.cert)
    pin = {"issuer-cert": f"issuer-cert:{ca.cert.pem_file()}", "issuer": f"issuer:{ca.cert.pin}",
           "cert": server.cert.cert_pin}[kind]
    other = certs.self_signed(tmp_path).pin
    daemon = pinproxyd({NAME: to(server, pin=[pin, other], on_pin_removed="close")})
    with open_tunnel(daemon.address(NAME)) as sock:
        daemon.reload({NAME: to(server, pin=other, on_pin_removed="close")})
        assert_closed(daemon, sock, "pin_removed")


def test_another_removed_pin_closes_nothing(pinproxyd, tls_server, tmp_path):
    server, other = tls_server(), certs.self_signed(tmp_path)
    daemon = pinproxyd({NAME: to(server, pin=[other.pin, server.cert.pin], on_pin_removed="close")})
    with open_tunnel(daemon.address(NAME)) as sock:
        daemon.reload({NAME: to(server, on_pin_removed="close")})
        ping(sock)


def test_a_pin_that_expires_refuses_new_connections_and_closes_nothing(pinproxyd, tls_server):
    """A new date refuses new connections only."""
    server = tls_server()
    daemon = pinproxyd({NAME: to(server, on_pin_removed="close")})
    with open_tunnel(daemon.address(NAME)) as sock:
        daemon.reload({NAME: to(server, pin=f"{server.cert.pin} until={day(-1)}", on_pin_removed="close")})
        assert_refused(daemon, "refused", "expired_pins")
        ping(sock)


@pytest.mark.parametrize("what", ["close", "keep"])
def test_a_renamed_section_closes_or_keeps_its_tunnels(what, pinproxyd, tls_server):
    """The section is removed, although the new one has the same server. Its old on_pin_removed decides."""
    server = tls_server()
    turned = {"close": "keep", "keep": "close"}[what]
    daemon = pinproxyd({NAME: to(server, on_pin_removed=what)})
    with open_tunnel(daemon.address(NAME)) as sock:
        daemon.reload({"renamed.test": to(server, on_pin_removed=turned)})
        if what == "close":
            assert_closed(daemon, sock, "pin_removed")
        else:
            ping(sock)


def test_a_key_revoked_in_one_section_closes_the_tunnels_of_that_section_only(pinproxyd, tls_server):
    """Two sections have one server. Only the section that revokes the key loses its tunnel."""
    server = tls_server()
    daemon = pinproxyd({NAME: to(server), "other.test": to(server)})
    with open_tunnel(daemon.address(NAME)) as sock, open_tunnel(daemon.address("other.test")) as spared:
        daemon.reload({NAME: to(server, revoked=server.cert.pin), "other.test": to(server)})
        assert_closed(daemon, sock, "revoked")
        ping(spared)
    assert failures(daemon, "other.test") == []


def test_a_tunnel_is_checked_at_every_later_reload(pinproxyd, tls_server):
    """Every later configuration is checked, not only the next one."""
    server = tls_server()
    daemon = pinproxyd({NAME: to(server)})
    with open_tunnel(daemon.address(NAME)) as sock:
        for seconds in (10, 20, 30):
            daemon.reload({NAME: to(server, half_close_timeout=seconds)})
            ping(sock)
        daemon.reload({NAME: to(server, revoked=server.cert.pin)})
        assert_closed(daemon, sock, "revoked")


@pytest.mark.threads
def test_a_revoked_tunnel_is_closed_at_once_though_its_client_does_not_read(pinproxyd, tls_server):
    """A write to the client is in flight, and the daemon does not wait for it."""
    server = tls_server(servers.send_forever)
    daemon = pinproxyd({NAME: to(server)})
    with connect(daemon.address(NAME), receive_buffer=4096) as sock:
        assert sock.recv(1)
        wait_steady(lambda: server.wait_conns(1)[0].sent)
        daemon.reload({NAME: to(server, revoked=server.cert.pin)})
        daemon.wait_event(event="tunnel_close", section=NAME, reason="revoked")
        assert read_to_any_end(sock)[1]


def test_a_half_closed_tunnel_is_closed_when_its_key_is_revoked(pinproxyd, tls_server):
    """The client has finished sending, and the server would still answer."""
    def behave(conn):
        conn.recv_all()
        conn.released.wait(DEADLINE)
        conn.send(b"too late")
    server = tls_server(behave)
    daemon = pinproxyd({NAME: to(server)})
    with connect(daemon.address(NAME)) as sock:
        sock.sendall(b"question")
        sock.shutdown(socket.SHUT_WR)
        wait_until(lambda: server.wait_conns(1)[0].end == "close_notify", "the question's end")
        daemon.reload({NAME: to(server, revoked=server.cert.pin)})
        assert_closed(daemon, sock, "revoked")


def test_a_revoked_server_gets_no_close_notify(pinproxyd, tls_server):
    """A part of a request must not look like a whole one."""
    server = tls_server()
    daemon = pinproxyd({NAME: to(server)})
    with open_tunnel(daemon.address(NAME)) as sock:
        daemon.reload({NAME: to(server, revoked=server.cert.pin)})
        assert_closed(daemon, sock, "revoked")
    conn, = server.wait_done(1)
    assert conn.end != "close_notify"


def test_a_unix_client_gets_the_end_when_its_key_is_revoked(pinproxyd, tls_server, tmp_path):
    server = tls_server()
    listen = f"unix:{tmp_path}/sock"
    daemon = pinproxyd({NAME: to(server, listen=listen)})
    with open_tunnel(daemon.address(NAME)) as sock:
        daemon.reload({NAME: to(server, listen=listen, revoked=server.cert.pin)})
        assert read_to_any_end(sock)[0] == b""
    daemon.wait_event(event="tunnel_close", section=NAME, reason="revoked")


@pytest.mark.parametrize("version", [V12, V13], ids=["tls1.2", "tls1.3"])
@pytest.mark.parametrize("key", ["server", "root"])
def test_a_resumed_tunnel_is_closed_when_its_key_is_revoked(key, version, pinproxyd, tls_server, ca):
    """A resumed session has no chain on the wire. The keys of the full handshake decide."""
    server = tls_server(cert=ca.issue(), minimum=version, maximum=version)
    options = {"verify": "pki", "pin": None, "ca_file": ca.cert.pem_file(), "resume": "yes"}
    base = {"global": {"workers": 1}}
    daemon = pinproxyd({**base, NAME: to(server, **options)})
    open_tunnel(daemon.address(NAME)).close()
    with open_tunnel(daemon.address(NAME)) as sock:
        assert daemon.events(event="tunnel_open")[-1]["resumed"] == "yes"
        daemon.reload({**base, NAME: to(server, revoked=(server.cert if key == "server" else ca.cert).pin, **options)})
        assert read_to_any_end(sock) == (b"", True)
    daemon.wait_event(event="tunnel_close", section=NAME, reason="revoked")
